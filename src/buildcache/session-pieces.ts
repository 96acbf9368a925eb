/**
 * The plain stream of a session: the index, then the outputs, read ahead of the client within bounds.
 *
 * A stream fills one buffer again and again, and frees each chunk when it is in there: what eight streams left to V8 took
 * 100 MB.
 */

import type { DeltaBase } from '../core/build-cache-port.ts';
import { freeBytes } from '../core/free-bytes.ts';
import { CHUNK_BYTES } from '../core/limits.ts';
import type { SessionAction } from '../core/session-port.ts';
import { BASE_BYTES, encodeFrameHead, encodeIndex, FRAME, FRAME_HEAD_BYTES } from '../core/session-wire.ts';
import { SESSION_AHEAD_BYTES_MAX, SESSION_AHEAD_CHUNKS_MAX } from './limits.ts';

export type SessionPiecesOptions = {
  readonly actions: readonly SessionAction[];
  /** Outputs past so many bytes are left out. */
  readonly bytesMax: number;
  /** One chunk of an output, which is given away. Rejects where it is gone or damaged. */
  readonly load: (output: SessionAction, seq: number) => Promise<Loaded>;
};

/** A chunk, or a delta of it against the action's `base`. */
export type Loaded = { readonly bytes: Uint8Array; readonly isDelta: boolean };

type Chunk = {
  readonly row: number;
  readonly base: DeltaBase | undefined;
  readonly seq: number;
  readonly loaded: Promise<Loaded | undefined>;
  readonly length: number;
};

/** No piece is empty. The first one is the index. A piece is lent until the next one is asked for. */
export async function* sessionPieces(options: SessionPiecesOptions): AsyncGenerator<Uint8Array, void, void> {
  yield encodeIndex(options.actions);
  const gone = new Set<number>();
  const piece = Buffer.allocUnsafeSlow(PIECE_BYTES);
  let length = 0;
  const put = (row: number, kind: number, content: Uint8Array) => {
    piece.set(encodeFrameHead({ row, kind, length: content.byteLength }), length);
    piece.set(content, length + FRAME_HEAD_BYTES);
    length += FRAME_HEAD_BYTES + content.byteLength;
  };
  for await (const { row, base, seq, content } of readAhead(options)) {
    if (gone.has(row)) continue;
    const bytes = content?.bytes ?? NOTHING;
    if (length + HEADS_BYTES + bytes.byteLength > PIECE_BYTES) {
      yield piece.subarray(0, length);
      length = 0;
    }
    if (seq === 0 && base !== undefined) put(row, FRAME.base, Buffer.from(base.outputId, 'hex'));
    if (content === undefined) {
      gone.add(row);
      put(row, FRAME.gone, NOTHING);
    } else {
      put(row, content.isDelta ? FRAME.delta : FRAME.bytes, bytes);
      freeBytes(bytes);
    }
  }
  if (length > 0) yield piece.subarray(0, length);
}

const NOTHING = new Uint8Array(0);

/** Of a chunk, and of its base before it. */
const HEADS_BYTES = 2 * FRAME_HEAD_BYTES + BASE_BYTES;

/** One chunk and its heads. Small outputs go out together: each piece is a call into uWebSockets or zlib. */
const PIECE_BYTES = CHUNK_BYTES + HEADS_BYTES;

async function* readAhead(options: SessionPiecesOptions) {
  const chunks = chunksOf(options);
  const ahead: Chunk[] = [];
  let bytesAhead = 0;
  for (;;) {
    while (ahead.length < SESSION_AHEAD_CHUNKS_MAX && bytesAhead < SESSION_AHEAD_BYTES_MAX) {
      const { value, done } = chunks.next();
      if (done === true) break;
      ahead.push(value);
      bytesAhead += value.length;
    }
    const next = ahead.shift();
    if (next === undefined) return;
    bytesAhead -= next.length;
    yield { ...next, content: await next.loaded };
  }
}

/** Starts to read a chunk when it is asked for one. Each output comes once, with the first action that has it. */
function* chunksOf({ actions, bytesMax, load }: SessionPiecesOptions): Generator<Chunk, void, void> {
  const known = new Set<string>();
  let left = bytesMax;
  for (const [row, action] of actions.entries()) {
    if (known.has(action.outputId) || action.size > left) continue;
    known.add(action.outputId);
    left -= action.size;
    for (let at = 0; at < action.size; at += CHUNK_BYTES) {
      const length = Math.min(CHUNK_BYTES, action.size - at);
      const seq = at / CHUNK_BYTES;
      yield { row, base: action.base, seq, length, loaded: load(action, seq).catch(() => undefined) };
    }
  }
}
