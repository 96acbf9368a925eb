/**
 * The arithmetic of a transparency log: the index of each hash, and the hashes that make a tree's hash.
 *
 * Hashes are numbered in the order in which a growing log writes them: the hash of each record, then the hashes of the
 * subtrees that it completes. The records are level 0.
 *
 * The real tree has over 40 million records, and indexes may exceed 2^31. So there are no bit operations here. Numbers
 * are exact up to 2^53, and TREE_SIZE_MAX keeps every index far below that.
 *
 * Follows golang.org/x/mod/sumdb/tlog/tlog.go and RFC 6962, section 2.1.
 */

import { emptyHash, type Hash, nodeHash } from './hash.ts';

/** Records in a tree; more are refused. No real tree has a thousandth of it, and every index stays an exact number. */
export const TREE_SIZE_MAX = 2 ** 48;

/** Reads the hashes at these indexes, in their order; throws if one cannot be read. */
export type HashReader = (indexes: readonly number[]) => Promise<readonly Hash[]>;

/** The index of the `number`-th hash at `level`. */
export function storedHashIndex(level: number, number: number): number {
  // The hash is written right after the last record below it. Before record r there are r + r/2 + r/4 + … hashes.
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
  // The hash of record r has an index of at most 2r. So the search starts at record index/2 and goes up a little.
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

/** The number of hashes that are stored for a tree of `size` records. */
export function storedHashCount(size: number): number {
  return size === 0 ? 0 : storedHashIndex(0, size - 1) + 1 + trailingZeros(size);
}

/**
 * The indexes of the stored hashes that make up the subtree of the records from `from` up to but not including `to`.
 * They are the roots of full subtrees, the largest first. `from` must be a multiple of the largest one's width.
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

/** The hash of a subtree. `parts` are the hashes that {@link subtreeIndexes} lists. */
export function subtreeHash(parts: readonly Hash[]): Hash {
  return parts.reduceRight((right, left) => nodeHash(left, right));
}

/** The hash of the tree of the first `size` records. */
export async function treeHash(size: number, readHashes: HashReader): Promise<Hash> {
  if (size === 0) return emptyHash;
  return subtreeHash(await readHashes(subtreeIndexes(0, size)));
}

/** The largest power of two below `bound`, and its logarithm; 1 and 0 if `bound` is 1. */
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
