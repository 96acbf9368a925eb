/**
 * Go's "h1:" hash over named contents, as in go.sum and in the checksum database.
 *
 * Follows golang.org/x/mod/sumdb/dirhash (Hash1).
 */

import { createHash } from 'node:crypto';

/** A name and the SHA-256 of its content, in lower-case hex. */
export type NamedDigest = { readonly name: string; readonly sha256: string };

/** The `h1:` hash of files, given in any order. Names must not contain a newline. */
export function hash1(files: readonly NamedDigest[]): string {
  const lines = files.map(({ name, sha256 }) => ({ name: asByteString(name), sha256 }));
  lines.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  const all = createHash('sha256');
  let text = '';
  for (const { name, sha256 } of lines) {
    text += `${sha256}  ${name}\n`;
    if (text.length < UPDATE_LENGTH) continue;
    all.update(text, 'latin1');
    text = '';
  }
  return `h1:${all.update(text, 'latin1').digest('base64')}`;
}

/** The UTF-8 bytes of a name, one character each. Go sorts and hashes names as UTF-8, and so `<` sorts as Go does. */
function asByteString(name: string): string {
  return BEYOND_ASCII.test(name) ? Buffer.from(name, 'utf8').toString('latin1') : name;
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: any character beyond ASCII.
const BEYOND_ASCII = /[^\x00-\x7f]/;

// Lines are hashed in groups: a call for each line costs more than its hash.
const UPDATE_LENGTH = 16 * 1024;
