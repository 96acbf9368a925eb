/** Makes text of unknown origin harmless for a terminal: it can't move the cursor or change the writing direction. */

/** The text with each control, format and line-separating character written as `\u{…}`, newlines too. */
export function printable(text: string): string {
  return text.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (one) => `\\u{${one.codePointAt(0)?.toString(16)}}`);
}
