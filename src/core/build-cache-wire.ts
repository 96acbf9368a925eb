/**
 * The wire between the cache program and a server that shares build caches. Both ends use this file.
 *
 * | request                   | answers                                                                         |
 * | ------------------------- | ------------------------------------------------------------------------------- |
 * | `GET /cache/action/<hex>` | 200: the output's bytes, with both headers below; 404: a miss                   |
 * | `HEAD /cache/output/<hex>`| 200: it is stored; 404: it is not                                               |
 * | `GET /cache/output/<hex>` | 200: the output's bytes; 404: a miss                                            |
 * | `PUT /cache/output/<hex>` | 2xx: stored; 400: the body's SHA-256 is another                                 |
 * | `PUT /cache/action/<hex>` | empty body, both headers. 2xx: stored; 404: send the output first; 409: this    |
 * |                           | action has another output, which stays                                          |
 *
 * A client may name a namespace. A put goes there. A get looks there and then into the main one; its answer names the
 * namespace that has the action, unless that is the main one, and all signatures that were put with it.
 *
 * Many gets at once go by sessions (`core/session-wire.ts`), small puts together (`core/puts-wire.ts`), and a filter rules out
 * misses (`core/action-filter.ts`).
 *
 * `<hex>` is 64 lower-case hex digits. 401 and 403: this client may not do that. All else is a failure.
 * Bodies have a `Content-Length`. They are raw, or `Content-Encoding: zstd`: one frame for each CHUNK_BYTES of the output,
 * less in the last one, as the store keeps them. A packed body states the output's size. A GET gets one only if its
 * `Accept-Encoding` names zstd, and a PUT that is packed otherwise is a 400. A token travels as `Authorization: Bearer`.
 *
 * A PUT of an output with BASE_HEADER and `Content-Encoding: astera-delta` states the output's size too. Its body has for each
 * CHUNK_BYTES of the output, less in the last one, 4 bytes, the length, little-endian, and a delta (`core/delta.ts`)
 * against the output that the header names. It needs the right to read as well. 404: that one is not here, or too
 * many such puts are under way. Whatever is wrong with it, the output may be put whole.
 */

import { CHUNK_BYTES } from './limits.ts';

/** The output that an action has: 64 lower-case hex digits. */
export const OUTPUT_ID_HEADER = 'astera-output-id';

/** When the action was done: Unix nanoseconds, decimal. */
export const TIME_HEADER = 'astera-time';

/** The namespace of an action; the main one without it. */
export const NAMESPACE_HEADER = 'astera-namespace';

/** Of a put, the writer's signature; of an answer, all that were put, with spaces between. */
export const SIGNATURE_HEADER = 'astera-signature';

/** In a bucket, the same beside an action's object: a header of S3 for what users add to an object. */
export const SIGNATURE_METADATA = 'x-amz-meta-astera-signature';

/** Signatures of one entry in a bucket: S3 keeps 2 kB beside an object, and one has 107 bytes. */
export const BUCKET_SIGNATURES_MAX = 4;

/** Puts one signature or more before those that an entry has. What has another form is dropped. */
export function joinSignatures(own: string, others: string | undefined): string {
  const all = new Set(`${own} ${others ?? ''}`.split(' ').filter(isSignature));
  return [...all].slice(0, BUCKET_SIGNATURES_MAX).join(' ');
}

/** Whether this has the form of one signature: version, key ID and 64 bytes in base64url. Not whether it is right. */
export function isSignature(text: unknown): text is string {
  return typeof text === 'string' && SIGNATURE.test(text);
}

/** All of an entry that decides what a build gets. Its time does not: `go` only ages test results by it. */
export type SignedEntry = {
  /** With the main one's name where it is that. */
  readonly namespace: string;
  readonly actionId: string;
  readonly outputId: string;
  readonly size: number;
};

/** The text that a signature signs. It names its use: what a key signs elsewhere is no entry. */
export function signedText({ namespace, actionId, outputId, size }: SignedEntry): string {
  return ['astera build cache entry v1', namespace, actionId, outputId, String(size), ''].join('\n');
}

const SIGNATURE = /^v1:[0-9a-f]{16}:[A-Za-z0-9_-]{86}$/;

/** The ID of an older output, which a PUT's deltas are against. */
export const BASE_HEADER = 'astera-base';
export const DELTA_ENCODING = 'astera-delta';

/** The size of the output, where the body is packed or has deltas: bytes, decimal. */
export const SIZE_HEADER = 'astera-size';

/** All paths of the build cache begin so. */
export const CACHE_PREFIX = 'cache/';

/**
 * The longest frame of one chunk: zstd's own bound for what can't be packed (`ZSTD_COMPRESSBOUND` in zstd.h), and room for
 * smaller blocks.
 */
export const FRAME_BYTES_MAX = CHUNK_BYTES + (CHUNK_BYTES >> 8) + 1024;

/**
 * The window that a frame of one chunk may ask of its reader: 2 MiB, as zstd's level 3 has for a stream of unknown length. Ours
 * ask for a chunk. zstd's own bound is 128 MiB, for a frame of some bytes.
 */
export const FRAME_WINDOW_LOG_MAX = 21;

export function actionPath(actionId: string): string {
  return `/${CACHE_PREFIX}action/${actionId}`;
}

export function outputPath(outputId: string): string {
  return `/${CACHE_PREFIX}output/${outputId}`;
}
