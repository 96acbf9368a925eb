/**
 * The arithmetic of a transparency log: where each hash stands, and which of them make a tree's hash.
 *
 * Hashes are numbered in the order in which a growing log writes them: each record's own, then
 * those of the subtrees it completes. Level 0 are the records.
 *
 * Indices pass 2^31 (the real tree has over 40 million records), so there are no bit operations
 * here: numbers are exact to 2^53, and TREE_SIZE_MAX keeps every index far below.
 *
 * Follows golang.org/x/mod/sumdb/tlog/tlog.go and RFC 6962, section 2.1.
 */

import { emptyHash, type Hash, nodeHash } from './hash.ts';

/** Records in a tree. A thousand times any real one, and every index stays an exact number. Larger: refused. */
export const TREE_SIZE_MAX = 2 ** 48;

/** Reads the hashes at these indices, in their order; throws where one cannot be had. */
export type HashReader = (indexes: readonly number[]) => Promise<readonly Hash[]>;

/** The index of the `number`-th hash at `level`. */
export function storedHashIndex(level: number, number: number): number {
  // It is written right after the last record below it; record r comes after r + r/2 + r/4 + … others.
  let record = (number + 1) * 2 ** level - 1;
  let index = level;
  while (record > 0) {
    index += record;
    record = Math.floor(record / 2);
  }
  return index;
}

/** The inverse of {@link storedHashIndex}. */
export function splitStoredHashIndex(index: number): { readonly level: number; readonly number: number } {
  // Record r's own hash has an index below 2r, so the record looked for is index/2 or a little later.
  let record = Math.floor(index / 2);
  let recordIndex = storedHashIndex(0, record);
  for (;;) {
    const next = recordIndex + 1 + trailingZeros(record + 1);
    if (next > index) break;
    record += 1;
    recordIndex = next;
  }
  const level = index - recordIndex;
  return { level, number: Math.floor(record / 2 ** level) };
}

/** Hashes stored for a tree of `size` records. */
export function storedHashCount(size: number): number {
  return size === 0 ? 0 : storedHashIndex(0, size - 1) + 1 + trailingZeros(size);
}

/**
 * The stored hashes that make up the subtree of records `from` up to, without, `to`: full subtrees
 * from the largest to the smallest. `from` must be a multiple of the largest.
 */
export function subtreeIndexes(from: number, to: number): number[] {
  const indexes: number[] = [];
  let at = from;
  while (at < to) {
    const { width, level } = widestBelow(to - at + 1);
    indexes.push(storedHashIndex(level, at / width));
    at += width;
  }
  return indexes;
}

/** The hash of the subtree whose full parts, as {@link subtreeIndexes} lists them, have these hashes. */
export function subtreeHash(parts: readonly Hash[]): Hash {
  return parts.reduceRight((right, left) => nodeHash(left, right));
}

/** The hash of the tree of the first `size` records. */
export async function treeHash(size: number, readHashes: HashReader): Promise<Hash> {
  if (size === 0) return emptyHash;
  return subtreeHash(await readHashes(subtreeIndexes(0, size)));
}

/** The largest power of two below `bound`, and its logarithm; 1 where `bound` is 1. */
function widestBelow(bound: number): { readonly width: number; readonly level: number } {
  let width = 1;
  let level = 0;
  while (width * 2 < bound) {
    width *= 2;
    level += 1;
  }
  return { width, level };
}

function trailingZeros(value: number): number {
  let rest = value;
  let zeros = 0;
  while (rest % 2 === 0) {
    rest /= 2;
    zeros += 1;
  }
  return zeros;
}
