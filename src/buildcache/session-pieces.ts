/**
 * The plain stream of a session: the index, then the outputs, read ahead of the client within bounds.
 *
 * A stream fills one buffer again and again, and gives each chunk back when it is in there: what eight streams left to V8
 * took 100 MB.
 */

import type { DeltaBase } from '../core/build-cache-port.ts';
import { FRAME_BYTES_MAX } from '../core/build-cache-wire.ts';
import { CHUNK_BYTES } from '../core/limits.ts';
import type { SessionAction } from '../core/session-port.ts';
import { BASE_BYTES, encodeFrameHead, encodeIndex, FRAME, FRAME_HEAD_BYTES } from '../core/session-wire.ts';
import type { ComingRow } from '../core/shared-sets.ts';
import { soon } from '../core/soon.ts';
import { SESSION_AHEAD_CHUNKS_MAX, SESSION_LATE_MS } from './limits.ts';
import type { LentChunk } from './shared-chunks.ts';

export type SessionPiecesOptions = {
  /** Stored ones, and behind them those that are on their way into the store. */
  readonly actions: readonly (SessionAction | ComingRow)[];
  /** Short IDs of actions that need not be asked for; empty: the client takes none. */
  readonly apart: Uint8Array;
  /** Outputs past so many bytes are left out. */
  readonly bytesMax: number;
  /** One chunk of an output. Rejects where it is gone or damaged. */
  readonly load: (output: SessionOutput, seq: number) => Promise<Loaded>;
  /** So many bytes are read ahead now: a chunk more or less. */
  readonly aheadBytes: () => number;
};

/** What is kept of an action while its output is sent: a slow client takes its stream for minutes. */
export type SessionOutput = { readonly row: number; readonly size: number } & (
  | Pick<SessionAction, 'blob' | 'base' | 'encoding'>
  | (Pick<ComingRow, 'outputId' | 'landed'> & { readonly base?: never })
);

type Plan = {
  /** Given away with the first piece. */
  index: Buffer | undefined;
  readonly outputs: readonly SessionOutput[];
  readonly load: SessionPiecesOptions['load'];
  readonly aheadBytes: SessionPiecesOptions['aheadBytes'];
};

/** A chunk, plain or packed as the store has it, or a delta of it against the action's `base`. */
export type Loaded = LentChunk & { readonly kind: 'bytes' | 'packed' | 'delta' };

type Chunk = {
  readonly row: number;
  readonly base: DeltaBase | undefined;
  readonly seq: number;
  readonly loaded: Promise<Loaded | undefined>;
  readonly length: number;
  /** Its output may only just be on its way into the store. */
  readonly isComing: boolean;
};

/** No piece is empty. The first one is the index. A piece is lent until the next one is asked for. */
export function sessionPieces(options: SessionPiecesOptions): AsyncGenerator<Uint8Array, void, void> {
  const { actions, apart, load, aheadBytes } = options;
  return piecesOf({ index: beginning(actions, apart), outputs: outputsOf(options), load, aheadBytes });
}

function beginning(actions: SessionPiecesOptions['actions'], apart: Uint8Array): Buffer {
  const index = encodeIndex(actions);
  const length = apart.byteLength;
  return length === 0
    ? index
    : Buffer.concat([index, encodeFrameHead({ row: 0, kind: FRAME.apart, length }), apart]);
}

async function* piecesOf(plan: Plan): AsyncGenerator<Uint8Array, void, void> {
  yield takeIndex(plan);
  const gone = new Set<number>();
  const piece = Buffer.allocUnsafeSlow(PIECE_BYTES);
  let length = 0;
  const put = (row: number, kind: number, content: Uint8Array) => {
    piece.set(encodeFrameHead({ row, kind, length: content.byteLength }), length);
    piece.set(content, length + FRAME_HEAD_BYTES);
    length += FRAME_HEAD_BYTES + content.byteLength;
  };
  for await (const { row, base, seq, loaded, isComing } of readAhead(plan)) {
    if (gone.has(row)) continue;
    if (isComing && length > 0 && (await isLate(loaded))) {
      // What has come must not wait for it.
      yield piece.subarray(0, length);
      length = 0;
    }
    const content = await loaded;
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
      put(row, FRAME[content.kind], bytes);
      content.release();
    }
  }
  if (length > 0) yield piece.subarray(0, length);
}

/** Whether it takes so long that the client should not wait. */
export async function isLate(work: Promise<unknown>): Promise<boolean> {
  const isThere = work.then(() => true);
  return (await soon(isThere, SESSION_LATE_MS)) === undefined;
}

function takeIndex(plan: Plan): Uint8Array {
  const { index = NOTHING } = plan;
  plan.index = undefined;
  return index;
}

const NOTHING = new Uint8Array(0);

/** Of a chunk, and of its base before it. */
const HEADS_BYTES = 2 * FRAME_HEAD_BYTES + BASE_BYTES;

/** One chunk and its heads. Small outputs go out together: each piece is a call into uWebSockets or zlib. */
const PIECE_BYTES = FRAME_BYTES_MAX + HEADS_BYTES;

/** Each of `loaded` is awaited, or nobody wants it. */
async function* readAhead(plan: Plan): AsyncGenerator<Chunk, void, void> {
  const chunks = chunksOf(plan);
  const ahead: Chunk[] = [];
  let bytesAhead = 0;
  for (;;) {
    while (ahead.length < SESSION_AHEAD_CHUNKS_MAX && bytesAhead < plan.aheadBytes()) {
      const { value, done } = chunks.next();
      if (done === true) break;
      ahead.push(value);
      bytesAhead += value.length;
    }
    const next = ahead.shift();
    if (next === undefined) return;
    bytesAhead -= next.length;
    yield next;
  }
}

/** Each output comes once, with the first action that has it. */
function outputsOf({ actions, bytesMax }: SessionPiecesOptions): SessionOutput[] {
  const known = new Set<string>();
  let left = bytesMax;
  return actions.flatMap((action, row): SessionOutput[] => {
    const { outputId, size } = action;
    if (known.has(outputId) || size > left) return [];
    known.add(outputId);
    left -= size;
    if (size === 0) return [];
    if ('landed' in action) return [{ row, size, outputId, landed: action.landed }];
    const { blob, base, encoding } = action;
    return [{ row, size, blob, encoding, ...(base !== undefined && { base }) }];
  });
}

/** Starts to read a chunk when it is asked for one. */
function* chunksOf({ outputs, load }: Plan): Generator<Chunk, void, void> {
  for (const output of outputs) {
    const { row, base, size } = output;
    for (let at = 0; at < size; at += CHUNK_BYTES) {
      const length = Math.min(CHUNK_BYTES, size - at);
      const seq = at / CHUNK_BYTES;
      const loaded = load(output, seq).catch(() => undefined);
      yield { row, base, seq, length, loaded, isComing: 'landed' in output };
    }
  }
}
