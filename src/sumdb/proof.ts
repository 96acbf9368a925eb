/**
 * Proofs given as a list of hashes, checked without any tile: that a tree contains a record,
 * and that it contains an earlier tree.
 *
 * The verifier itself proves by tiles (tile-hash-reader.ts); this is the other form the log's
 * design has, for evidence that is handed over.
 *
 * Follows golang.org/x/mod/sumdb/tlog/tlog.go and RFC 6962, sections 2.1.1 and 2.1.2.
 */

import { type Hash, isSameHash, nodeHash } from './hash.ts';
import { TREE_SIZE_MAX, widestBelow } from './tlog.ts';

/** Whether `proof` shows that the tree's record `id` has the hash `record`. */
export function isRecordProof(
  proof: readonly Hash[],
  tree: { readonly size: number; readonly hash: Hash },
  { id, record }: { readonly id: number; readonly record: Hash },
): boolean {
  if (!isCount(tree.size) || !isCount(id) || id >= tree.size) return false;
  const root = recordRoot(proof, { width: tree.size, at: id, record });
  return root !== undefined && isSameHash(root, tree.hash);
}

/** Whether `proof` shows that `tree` starts with the records of `older`, which has one record at least. */
export function isTreeProof(
  proof: readonly Hash[],
  tree: { readonly size: number; readonly hash: Hash },
  older: { readonly size: number; readonly hash: Hash },
): boolean {
  if (!isCount(tree.size) || !isCount(older.size) || older.size < 1 || older.size > tree.size) return false;
  const roots = treeRoots(proof, { width: tree.size, cut: older.size, older: older.hash, isLeft: true });
  return roots !== undefined && isSameHash(roots.before, older.hash) && isSameHash(roots.after, tree.hash);
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0 && value <= TREE_SIZE_MAX;
}

/** The root that the proof gives a subtree of `width` records, `record` standing at `at`. */
function recordRoot(
  proof: readonly Hash[],
  { width, at, record }: { width: number; at: number; record: Hash },
): Hash | undefined {
  if (width === 1) return proof.length === 0 ? record : undefined;
  const sibling = proof.at(-1);
  if (sibling === undefined) return undefined;
  const { width: left } = widestBelow(width);
  const isInLeft = at < left;
  const inner = isInLeft ? { width: left, at, record } : { width: width - left, at: at - left, record };
  const root = recordRoot(proof.slice(0, -1), inner);
  if (root === undefined) return undefined;
  return isInLeft ? nodeHash(root, sibling) : nodeHash(sibling, root);
}

/** The roots of a subtree of `width` records, before (its first `cut` records) and after. `isLeft`: it is the whole old tree's left edge. */
function treeRoots(
  proof: readonly Hash[],
  { width, cut, older, isLeft }: { width: number; cut: number; older: Hash; isLeft: boolean },
): { before: Hash; after: Hash } | undefined {
  if (cut === width) return commonRoots(proof, isLeft ? older : undefined);
  const sibling = proof.at(-1);
  if (sibling === undefined) return undefined;
  const rest = proof.slice(0, -1);
  const { width: left } = widestBelow(width);
  if (cut <= left) {
    const roots = treeRoots(rest, { width: left, cut, older, isLeft });
    return roots && { before: roots.before, after: nodeHash(roots.after, sibling) };
  }
  const roots = treeRoots(rest, { width: width - left, cut: cut - left, older, isLeft: false });
  return roots && { before: nodeHash(sibling, roots.before), after: nodeHash(sibling, roots.after) };
}

/** Common ground: the old tree itself, whose hash is known, or a subtree whose hash the proof gives. */
function commonRoots(
  proof: readonly Hash[],
  known: Hash | undefined,
): { before: Hash; after: Hash } | undefined {
  const root = known ?? proof[0];
  if (root === undefined || proof.length !== (known === undefined ? 1 : 0)) return undefined;
  return { before: root, after: root };
}
