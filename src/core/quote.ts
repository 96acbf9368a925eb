/** Names and values in messages. */

import { printableJson } from './printable.ts';

/** Longer values are cut: a message is one line, of which the `go` command shows 648 bytes. */
const QUOTED_LENGTH_MAX = 300;

/** A value as it stands in a message: in quotes, with escapes for characters that are not graphic, and not too long. */
export function quote(value: unknown): string {
  const text = printableJson(JSON.stringify(value) ?? String(value));
  return text.length <= QUOTED_LENGTH_MAX ? text : `${text.slice(0, QUOTED_LENGTH_MAX - 4)}..."`;
}
