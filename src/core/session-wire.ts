/**
 * Sessions on the wire: one round trip for all that a `go` command will ask for.
 *
 * `go` has only as many gets open as it builds packages at a time, so that each get's round trip adds to its build. The
 * server knows better: it has seen such commands before. So a client says which command it serves, and the server sends
 * all that such a command asked for, in one answer, while the command's gets are answered out of what came.
 *
 * | request                     | answers                                                                       |
 * | --------------------------- | ----------------------------------------------------------------------------- |
 * | `PUT /cache/session/<key>`  | body: short IDs of the actions that a command used, in its order. 201: noted   |
 * | `POST /cache/session/<key>` | body: short IDs of actions that the client has. 200: a stream, as below;       |
 * |                             | 404: nobody has put such a session, or too many are sent now                  |
 * | `GET /cache/sessions`       | JSON: the last sessions, newest first, as SessionTold                         |
 *
 * `<key>` is 64 lower-case hex digits that stand for the command: module, target, flags and arguments. Headers:
 * PROJECT_HEADER in both, LABEL_HEADER and APART_HEADER in a put, PREFETCH_HEADER in a POST, and NAMESPACE_HEADER as for actions. A put needs
 * the right to put actions. Short IDs have SHORT_ID_BYTES each, one after the other (`core/session-port.ts`).
 *
 * The stream is, after its `Content-Encoding` (zstd or br as in `Accept-Encoding`, or none):
 *
 *     index   4 bytes: length of the rows; then a row for each action of the set that is stored and that the client has
 *             not: action ID 32, output ID 32, size 6, time 8, length of the note 2, note
 *     frames  4 bytes: number of a row, the first one that has the output; 1: kind; 4: length; then the bytes
 *
 * Numbers are little-endian. The frames of a row are its output's bytes in order, and rows come in the order of the index.
 * Where the client has DELTA_HEADER, a row's first frame may be of the kind `base`: 32 bytes, the ID of an output that the
 * client has, as it has an action with it. Then each other frame of the row brings CHUNK_BYTES of the output, the last one
 * less; one of the kind `delta` as a delta against that output (`core/delta.ts`).
 * Where the client has PACKED_HEADER and the stream no `Content-Encoding`, frames may be of the kind `packed`: a chunk as a zstd
 * frame, as `core/build-cache-wire.ts` has it.
 * Where the client has APART_HEADER in its POST, the first frame may be of the kind `apart`: short IDs of actions whose outputs no
 * machine takes from another one, so that they need not be asked for.
 * An empty output has none. A frame of the kind `gone` says that the rest of a row does not come. Outputs past the bytes
 * of PREFETCH_HEADER are left out, though their rows are there. A client checks each output by its SHA-256; a wrong one
 * is dropped, and the stream goes on.
 *
 * A set says nothing about actions that it lacks: another machine may have put them just now. They are asked for alone.
 */

import { isCacheId } from './cache-id.ts';
import { SHORT_ID_BYTES } from './session-port.ts';

/** The project of a session: 64 lower-case hex digits. */
export const PROJECT_HEADER = 'astera-project';

/** The label of a session: printable ASCII. */
export const LABEL_HEADER = 'astera-label';

/**
 * Of actions whose outputs no machine takes from another one. In a put: how many of the session's actions, the last ones, are such:
 * decimal. In a POST: `1`, the client takes a frame of such actions.
 */
export const APART_HEADER = 'astera-apart';

/** Bytes of outputs, unpacked, that a client takes at most: decimal. */
export const PREFETCH_HEADER = 'astera-prefetch';

/** The client takes deltas of this form. A server that knows no deltas, or others, sends none. */
export const DELTA_HEADER = 'astera-delta';
export const DELTA_FORM = '1';

/** The client takes chunks packed each by itself, in this form. */
export const PACKED_HEADER = 'astera-packed';
export const PACKED_FORM = '1';

/** The path of the list of sessions. */
export const SESSIONS_PATH = '/cache/sessions';

/** One session of the list. */
export type SessionTold = { readonly label: string; readonly usedAtMs: number };

export function sessionPath(key: string): string {
  return `/cache/session/${key}`;
}

/** One row of an index. */
export type IndexRow = {
  readonly actionId: string;
  readonly outputId: string;
  readonly size: number;
  /** Unix ns, decimal. */
  readonly time: string;
  readonly note: string | undefined;
};

/** The first bytes of these IDs, one after the other. */
export function shortIdsOf(actionIds: Iterable<string>): Buffer {
  return Buffer.concat(Array.from(actionIds, (id) => Buffer.from(id.slice(0, 2 * SHORT_ID_BYTES), 'hex')));
}

const ROW_BYTES = 32 + 32 + 6 + 8 + 2;

/** The rows with the length before them. */
export function encodeIndex(rows: readonly IndexRow[]): Buffer {
  const parts: Buffer[] = [Buffer.alloc(4)];
  let length = 0;
  for (const { actionId, outputId, size, time, note = '' } of rows) {
    const text = Buffer.from(note);
    const row = Buffer.alloc(ROW_BYTES + text.length);
    row.write(actionId, 0, 'hex');
    row.write(outputId, 32, 'hex');
    row.writeUIntLE(size, 64, 6);
    row.writeBigUInt64LE(BigInt(time), 70);
    row.writeUInt16LE(text.length, 78);
    row.set(text, ROW_BYTES);
    parts.push(row);
    length += row.length;
  }
  parts[0]?.writeUInt32LE(length);
  return Buffer.concat(parts);
}

/** @param bytes without the length. @throws {Error} no index */
export function decodeIndex(bytes: Buffer): IndexRow[] {
  const rows: IndexRow[] = [];
  for (let at = 0; at < bytes.length; ) {
    if (at + ROW_BYTES > bytes.length) throw new Error('not an index of a build cache');
    const end = at + ROW_BYTES + bytes.readUInt16LE(at + 78);
    if (end > bytes.length) throw new Error('not an index of a build cache');
    rows.push({
      actionId: bytes.toString('hex', at, at + 32),
      outputId: bytes.toString('hex', at + 32, at + 64),
      size: bytes.readUIntLE(at + 64, 6),
      time: bytes.readBigUInt64LE(at + 70).toString(),
      note: end === at + ROW_BYTES ? undefined : bytes.toString('utf8', at + ROW_BYTES, end),
    });
    at = end;
  }
  return rows;
}

/** The window of the stream's `Content-Encoding: zstd` is 16 MiB at most. */
export const STREAM_WINDOW_LOG_MAX = 24;

/** Kinds of frames. */
export const FRAME = { bytes: 0, gone: 1, base: 2, delta: 3, packed: 4, apart: 5 } as const;

/** Bytes of a frame of the kind `base`. */
export const BASE_BYTES = 32;

/** Bytes before those of a frame. */
export const FRAME_HEAD_BYTES = 4 + 1 + 4;

export type FrameHead = { readonly row: number; readonly kind: number; readonly length: number };

export function encodeFrameHead({ row, kind, length }: FrameHead): Buffer {
  const head = Buffer.alloc(FRAME_HEAD_BYTES);
  head.writeUInt32LE(row, 0);
  head.writeUInt8(kind, 4);
  head.writeUInt32LE(length, 5);
  return head;
}

export function decodeFrameHead(bytes: Buffer, at: number): FrameHead {
  return { row: bytes.readUInt32LE(at), kind: bytes.readUInt8(at + 4), length: bytes.readUInt32LE(at + 5) };
}

/** Whether this may stand in LABEL_HEADER. */
export function isLabel(text: string, lengthMax: number): boolean {
  return text.length <= lengthMax && /^[\x20-\x7e]*$/.test(text);
}

/** Whether this is the name of a session's command or project. */
export const isSessionKey = isCacheId;
