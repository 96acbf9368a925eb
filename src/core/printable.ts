/** Text of unknown origin, made harmless for a terminal: nothing in it moves the cursor or turns the writing around. */

/** The text with every control, format and line-separating character as `\u{…}`, `\n` among them. */
export function printable(text: string): string {
  return text.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (one) => `\\u{${one.codePointAt(0)?.toString(16)}}`);
}
