/**
 * The messages on the control socket, and the parsers of those that come in: a request is trusted no further
 * than its shape, because a value of another kind would fail the writer's whole group.
 */

import type { ControlCall, ControlPort, SumdbLesson } from '../core/control-port.ts';
import { BadRequest, type ErrorKind } from '../core/errors.ts';
import {
  BLOB_ID_MAX,
  CHUNK_BYTES,
  CHUNKS_PER_BLOB,
  KEY_LENGTH_MAX,
  KEYS_PER_CALL_MAX,
  SMALL_BYTES_MAX,
  SUMDB_ANSWER_BYTES_MAX,
  SUMDB_GIVEN_TILES_MAX,
} from '../core/limits.ts';

/** Changes with every call that is added, goes or means something else: both ends must be of one Astera. */
export const CONTROL_PROTOCOL = 7;

/** The first message of a connection, in place of a call. */
export type Hello = { readonly protocol: number };

export type ControlRequest = { [N in ControlCall]: RequestOf<N> }[ControlCall];

type RequestOf<N extends ControlCall> = {
  readonly id: number;
  readonly call: N;
  readonly args: Parameters<ControlPort[N]>[0];
};

export type ControlReply =
  | { readonly id: number; readonly ok: true; readonly value: object }
  | { readonly id: number; readonly ok: false; readonly kind: ErrorKind; readonly message: string };

/** @throws {BadRequest} it is none */
export function parseHello(value: unknown): Hello {
  return { protocol: count(fieldsOf(value).protocol) };
}

/** @throws {BadRequest} no request, no such call, or arguments of another shape */
export function parseRequest(value: unknown): ControlRequest {
  const { id, call, args } = fieldsOf(value);
  if (typeof call !== 'string' || !Object.hasOwn(parsers, call)) throw new BadRequest('no such call');
  const parse = parsers[call as ControlCall];
  return { id: count(id), call, args: parse(fieldsOf(args)) } as ControlRequest;
}

/** @throws {BadRequest} it is none */
export function parseReply(value: unknown): ControlReply {
  const { id, ok, kind, message, value: returned } = fieldsOf(value);
  if (ok === true) return { id: count(id), ok, value: fieldsOf(returned) };
  // The other end is an Astera of the same protocol: its kinds are ours.
  return { id: count(id), ok: false, kind: text(kind) as ErrorKind, message: text(message) };
}

type Fields = Readonly<Record<string, unknown>>;

type Parsers = { readonly [N in ControlCall]: (args: Fields) => Parameters<ControlPort[N]>[0] };

const range = ({ prefix, after }: Fields) => ({ prefix: text(prefix), after: text(after) });

const parsers: Parsers = {
  getStored: ({ keys }) => ({ keys: texts(keys) }),
  getKeys: range,
  getPartialKeys: range,
  putEntry: ({ key, blob, bytes, nowMs }) => ({
    key: text(key),
    status: 200,
    source: 'import',
    nowMs: count(nowMs),
    blob: blobId(blob),
    bytes: bytesOf(bytes, SMALL_BYTES_MAX),
  }),
  openBlob: ({ blob, key, size, nowMs }) => ({
    blob: blobId(blob),
    key: text(key),
    size: count(size),
    etag: undefined,
    lastModified: undefined,
    nowMs: count(nowMs),
  }),
  putChunk: ({ blob, seq, bytes }) => ({
    blob: blobId(blob),
    seq: bounded(seq, CHUNKS_PER_BLOB - 1),
    bytes: bytesOf(bytes, CHUNK_BYTES),
  }),
  sealBlob: ({ blob, key, size, nowMs }) => ({
    blob: blobId(blob),
    key: text(key),
    size: count(size),
    source: 'import',
    nowMs: count(nowMs),
  }),
  dropBlob: ({ blob }) => ({ blob: blobId(blob) }),
  forget: ({ keys }) => ({ keys: texts(keys) }),
  dropUnused: ({ blobs }) => ({ blobs: blobIds(blobs) }),
  dropOutput: ({ blob }) => ({ blob: blobId(blob) }),
  dropAction: ({ namespace, actionId }) => ({ namespace: text(namespace), actionId: text(actionId) }),
  forgetActions: () => ({}),
  fetch: ({ key }) => ({ key: text(key) }),
  pushUploads: ({ isAll }) => ({ isAll: isAll === true }),
  bringSet: ({ key }) => ({ key: text(key) }),
  lookUp: ({ key }) => ({ key: text(key) }),
  forgetSumdb: ({ database }) => ({ database: text(database) }),
  refreshVulns: () => ({}),
  sumdbHead: ({ database }) => ({ database: text(database) }),
  sumdbLearn: ({ path, bytes, tiles }) => ({
    path: text(path),
    bytes: bytesOf(bytes, SMALL_BYTES_MAX),
    tiles: tilesOf(tiles),
  }),
};

function fieldsOf(value: unknown): Fields {
  if (typeof value !== 'object' || value === null) throw new BadRequest('not an object');
  return value as Fields;
}

/** Keys are ASCII; one of a growing blob has a word before it. */
function text(value: unknown): string {
  if (typeof value === 'string' && value.length <= 2 * KEY_LENGTH_MAX) return value;
  throw new BadRequest('not a text');
}

function texts(value: unknown): string[] {
  if (!Array.isArray(value) || value.length > KEYS_PER_CALL_MAX) throw new BadRequest('not a list of keys');
  return value.map(text);
}

function blobIds(value: unknown): number[] {
  if (!Array.isArray(value) || value.length > KEYS_PER_CALL_MAX) throw new BadRequest('not a list of blobs');
  return value.map(blobId);
}

function count(value: unknown): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
  throw new BadRequest('not a count');
}

/** A chunk's rowid is made of the two: beyond these bounds it would be another blob's. */
function blobId(value: unknown): number {
  return bounded(value, BLOB_ID_MAX);
}

function bounded(value: unknown, max: number): number {
  const number = count(value);
  if (number > max) throw new BadRequest(`not a number up to ${max}`);
  return number;
}

function tilesOf(value: unknown): SumdbLesson['tiles'] {
  if (!Array.isArray(value) || value.length > SUMDB_GIVEN_TILES_MAX)
    throw new BadRequest('not a list of tiles');
  return value.map(fieldsOf).map(({ path, bytes }) => ({
    path: text(path),
    bytes: bytesOf(bytes, SUMDB_ANSWER_BYTES_MAX),
  }));
}

function bytesOf(value: unknown, bytesMax: number): Uint8Array {
  if (value instanceof Uint8Array && value.byteLength <= bytesMax) return value;
  throw new BadRequest('not the bytes of a file');
}
