/**
 * The hashes of a transparency log, and their text: of a record, of a node and of the empty tree.
 *
 * Follows RFC 6962, section 2.1, and golang.org/x/mod/sumdb/tlog/tlog.go. Before hashing, records and nodes get
 * different first bytes. So no record has the hash of an inner node.
 */

import { hash } from 'node:crypto';
import { decodeBase64 } from './base64.ts';

/** A SHA-256 of 32 bytes. It is never changed in place, and may be a view into a tile. */
export type Hash = Uint8Array;

export const HASH_BYTES = 32;

/** The hash of a tree without records: the SHA-256 of no bytes. */
export const emptyHash: Hash = hash('sha256', new Uint8Array(0), 'buffer');

/** The hash of a record's text: the tree's leaf. */
export function recordHash(text: Uint8Array): Hash {
  return hash('sha256', Buffer.concat([RECORD_PREFIX, text]), 'buffer');
}

/** The hash of the node above two neighbours. */
export function nodeHash(left: Hash, right: Hash): Hash {
  nodeInput.set(left, 1);
  nodeInput.set(right, 1 + HASH_BYTES);
  return Buffer.from(hash('sha256', nodeInput, 'binary'), 'binary');
}

/**
 * The root hash above neighbours.
 *
 * @param bytes the neighbours' hashes, one after the other; their number is a power of two
 */
export function rootHash(bytes: Uint8Array): Hash {
  let layer = bytes;
  while (layer.length > HASH_BYTES) layer = layerAbove(layer);
  return layer;
}

function layerAbove(layer: Uint8Array): Uint8Array {
  const above = Buffer.allocUnsafe(layer.length / 2);
  for (let at = 0; at < above.length; at += HASH_BYTES) {
    nodeInput.set(layer.subarray(2 * at, 2 * at + 2 * HASH_BYTES), 1);
    // A byte string costs a third of a Buffer here (0.4 µs against 1.2 µs).
    above.write(hash('sha256', nodeInput, 'binary'), at, 'binary');
  }
  return above;
}

export function isSameHash(one: Hash, other: Hash): boolean {
  return Buffer.compare(one, other) === 0;
}

/** Base64, as in tree notes. */
export function formatHash(value: Hash): string {
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64');
}

/** The inverse of {@link formatHash}; `undefined` if `text` is not the base64 of 32 bytes. */
export function parseHash(text: string): Hash | undefined {
  const bytes = decodeBase64(text);
  return bytes?.length === HASH_BYTES ? bytes : undefined;
}

const RECORD_PREFIX = new Uint8Array([0]);

// One buffer for the whole thread: it is filled and hashed without an await in between.
const nodeInput = new Uint8Array(1 + 2 * HASH_BYTES);
nodeInput[0] = 1;
