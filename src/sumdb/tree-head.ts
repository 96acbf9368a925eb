/**
 * Tree heads: a log's size and hash, as the text that a database signs.
 *
 * Follows `FormatTree` and `ParseTree` of golang.org/x/mod/sumdb/tlog/note.go.
 */

import { CheckFailed } from '../core/errors.ts';
import { quote } from '../core/quote.ts';
import { formatHash, type Hash, parseHash } from './hash.ts';
import { TREE_SIZE_MAX } from './tlog.ts';

/** A log's first `size` records, as one hash. */
export type Tree = { readonly size: number; readonly hash: Hash };

/** A tree whose note was signed by the database. */
export type TreeHead = Tree & {
  /** The signed note, without signatures by unknown keys. */
  readonly note: Uint8Array;
};

/** The text that is signed: three lines. */
export function formatTree({ size, hash }: Tree): string {
  return `${FIRST_LINE}\n${size}\n${formatHash(hash)}\n`;
}

/**
 * The tree in a note's text. Lines after the third are for later formats and are ignored.
 *
 * @throws {CheckFailed} another first line, a size that is not canonical or over TREE_SIZE_MAX, or no hash
 */
export function parseTree(text: string): Tree {
  const [first, digits = '', base64 = '', ...rest] = text.split('\n', 4);
  const hash = parseHash(base64);
  if (first !== FIRST_LINE || rest.length === 0 || !DECIMAL.test(digits) || hash === undefined) {
    throw new CheckFailed(`cannot parse tree head: malformed: ${quote(text.slice(0, 100))}`);
  }
  const size = Number(digits);
  if (size > TREE_SIZE_MAX)
    throw new CheckFailed(`cannot parse tree head: over ${TREE_SIZE_MAX} records: "${digits}"`);
  return { size, hash };
}

/** The tree on one line, for logs and errors. */
export function describeTree(tree: Tree | undefined): string {
  return tree === undefined ? 'none' : `${tree.size} records "${formatHash(tree.hash)}"`;
}

const FIRST_LINE = 'go.sum database tree';

/** A number as Go prints it. An int64 has at most 19 digits. */
export const DECIMAL = /^(?:0|[1-9]\d{0,18})$/;
