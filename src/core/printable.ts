/** Makes text of unknown origin harmless for a terminal: it can't move the cursor or change the writing direction. */

/** The text with each control, format and line-separating character written as `\u{…}`, newlines too. */
export function printable(text: string): string {
  return text.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (one) => `\\u{${one.codePointAt(0)?.toString(16)}}`);
}

/**
 * JSON text that says the same, with every such character but line feeds as `\uXXXX`: JSON lets the C1 controls, and
 * those that turn the writing around, stand as they are.
 */
export function printableJson(json: string): string {
  if (!/[^\n\x20-\x7e]/.test(json)) return json;
  return json.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (one) => (one === '\n' ? one : escaped(one)));
}

function escaped(character: string): string {
  const units = character.split('');
  return units.map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`).join('');
}
