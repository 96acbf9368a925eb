/**
 * Sessions: what `go` commands ask for together, so that the next such command gets it in one answer.
 *
 * The words: `core/session-port.ts`. The wire: `core/session-wire.ts`.
 */

import type { ByteStream } from '../core/answer.ts';
import type { ActionName } from '../core/build-cache-port.ts';
import { STORED_MAIN } from '../core/cache-id.ts';
import { isServeError, NotFound, StoreFailed } from '../core/errors.ts';
import { freeBytes } from '../core/free-bytes.ts';
import { CHUNK_BYTES, CHUNKS_PER_BLOB } from '../core/limits.ts';
import type { Clock } from '../core/ports.ts';
import { type SessionName, SHORT_ID_BYTES } from '../core/session-port.ts';
import { type SessionTold, shortIdsOf } from '../core/session-wire.ts';
import type { Brought, ComingRow, SharedSet, SharedSets } from '../core/shared-sets.ts';
import type { Store } from '../core/store-port.ts';
import type { LastUse } from '../flight/last-use.ts';
import type { Events } from '../observe/events.ts';
import { GeneratedBody } from './generated-body.ts';
import {
  SESSION_AHEAD_BYTES_MAX,
  SESSION_LONG_WINDOWS_MAX,
  SESSION_STREAMS_MAX,
  SESSIONS_AHEAD_BYTES_MAX,
  SESSIONS_SHARED_BYTES_MAX,
} from './limits.ts';
import { refuseFull } from './refuse-full.ts';
import { type Loaded, type SessionOutput, sessionPieces } from './session-pieces.ts';
import { SharedChunks } from './shared-chunks.ts';
import { encoded, type StreamEncoding, type StreamPacking } from './stream-encoding.ts';

export type SessionsOptions = {
  readonly store: Store;
  readonly used: LastUse<ActionName>;
  readonly clock: Clock;
  readonly events: Events;
  /** Sets of other servers. Absent: there are none. */
  readonly shared?: SharedSets | undefined;
};

export type SessionPut = SessionName & {
  readonly namespace: string;
  readonly actions: Uint8Array;
  readonly apart?: number;
};

export type SessionQuestion = Pick<SessionName, 'key' | 'project'> & {
  /** In the order in which they are asked. */
  readonly namespaces: readonly string[];
  /** Short IDs of actions that the client has. */
  readonly held: Uint8Array;
  /** Bytes of outputs that it takes. */
  readonly bytesMax: number;
  readonly encoding: StreamEncoding;
  /** Whether it takes deltas against outputs of actions that it has. */
  readonly takesDeltas: boolean;
  /** Whether it takes chunks packed each by itself. */
  readonly takesPacked: boolean;
  /** Whether it wants to know of actions that it need not ask for. */
  readonly takesApart: boolean;
};

export class Sessions {
  readonly #options: SessionsOptions;
  /** That are sent now. */
  #streams = 0;
  /** Of outputs; one stream alone shares them with nobody. */
  readonly #chunks = new SharedChunks(() => (this.#streams < 2 ? 0 : SESSIONS_SHARED_BYTES_MAX));
  /** The same, as the store has them. */
  readonly #packedChunks = new SharedChunks(() => (this.#streams < 2 ? 0 : SESSIONS_SHARED_BYTES_MAX / 4));
  /** Streams that were just told that they will be packed as one, and have perhaps not begun. */
  #soonPacked = 0;
  /** Of these, those with a long window. */
  #longWindows = 0;

  constructor(options: SessionsOptions) {
    this.#options = options;
  }

  /**
   * Notes one session.
   *
   * @param put `actions`: short IDs, in the order in which they were asked for; `apart`: how many of them, the last ones, have outputs
   *   that no machine takes from another one
   * @throws {Busy} nothing can be stored now. @throws {BadRequest} too many actions
   */
  async put(put: SessionPut): Promise<void> {
    const { store, clock, events } = this.#options;
    refuseFull(store);
    await store.putSession({ ...put, nowMs: clock.wallMs() });
    events.buildCacheAsked('put-session', 'stored');
  }

  /** The last ones of these namespaces, newest first, without what they asked for. */
  async list(namespaces: readonly string[]): Promise<SessionTold[]> {
    const { sessions } = await this.#options.store.getSessions({ namespaces });
    return sessions.flatMap(({ label, usedAtMs }) => (label === OTHERS_LABEL ? [] : { label, usedAtMs }));
  }

  /**
   * What such a command asked for, as a stream.
   *
   * @throws {NotFound} nobody has put such a session, or too many are sent now: a client then asks for each action alone
   */
  async stream({
    bytesMax,
    encoding: asked,
    takesDeltas,
    takesPacked,
    takesApart,
    ...question
  }: SessionQuestion): Promise<SessionBody> {
    const { store, used, clock, events } = this.#options;
    this.#refuseFull();
    const shared = await this.#findShared(question);
    const also = shared && { also: shortIdsOf(shared.rows.map(({ actionId }) => actionId)) };
    const found = await store.getSession({ ...question, ...also, wantsBases: takesDeltas });
    const { session, actions } = found;
    this.#refuseFull(); // Others may have begun meanwhile.
    const isMiss = session === undefined && shared === undefined;
    events.buildCacheAsked('get-session', isMiss ? 'miss' : 'hit');
    if (isMiss) throw new NotFound(`cannot find session ${question.key}: not in the build cache`);
    for (const { namespace, actionId, usedAtMs } of actions)
      used.note({ namespace, actionId }, { usedAtMs }, clock.wallMs());
    const coming =
      shared === undefined ? [] : bringOthers(shared, { actions, held: question.held, bytesMax });
    if (session === undefined && shared !== undefined) this.#keepOthers(question, shared);
    const isPacked = takesPacked && asked !== 'identity' && !this.#mayRepack();
    const encoding = isPacked ? 'identity' : asked;
    const load = (output: SessionOutput, seq: number) => this.#load(output, seq, isPacked);
    // They keep no actions: of these there are many, and a slow client takes minutes.
    const pieces = sessionPieces({
      actions: [...actions, ...coming],
      apart: takesApart ? apartOf(found.apart, shared) : NOTHING,
      bytesMax,
      load,
      aheadBytes: () => this.#aheadBytes(),
    });
    return { body: new GeneratedBody(this.#counted(pieces, encoding)), encoding };
  }

  /**
   * Brings a set of other servers into the store, and waits until all of it is there.
   *
   * @throws {NotFound} they have no such set. @throws {UpstreamDown} {UpstreamFailed} {Busy} they can't be asked, or nothing can be stored
   */
  async bring(key: string): Promise<Brought> {
    const { store, shared } = this.#options;
    refuseFull(store);
    const set = await shared?.read(key);
    if (set === undefined) throw new NotFound(`cannot find set ${key}: nobody has it, or it can't be read`);
    const also = shortIdsOf(set.rows.map(({ actionId }) => actionId));
    const question = { namespaces: [STORED_MAIN], key, project: key, held: NOTHING };
    const { session, actions } = await store.getSession({ ...question, also, wantsBases: false });
    if (session === undefined) this.#keepOthers(question, set);
    const coming = bringOthers(set, { actions, held: NOTHING, bytesMax: Infinity });
    let [brought, bytes] = [0, 0];
    for (const { landed, size } of coming) {
      if (!(await landed)) continue;
      brought++;
      bytes += size;
    }
    return { brought, lost: coming.length - brought, bytes };
  }

  /** Other servers know the main namespace alone. */
  async #findShared({ namespaces, key, project }: SharedQuestion): Promise<SharedSet | undefined> {
    return namespaces.includes(STORED_MAIN) ? this.#options.shared?.find({ key, project }) : undefined;
  }

  /** Under the name that it has there: clients that only read must not fill the table with names of their own. */
  #keepOthers({ project }: SharedQuestion, { key, rows }: SharedSet): void {
    const { store, clock } = this.#options;
    const actions = shortIdsOf(rows.map(({ actionId }) => actionId));
    const name = { namespace: STORED_MAIN, key, project, label: OTHERS_LABEL };
    store.putSession({ ...name, actions, isShared: true, nowMs: clock.wallMs() }).catch((error: unknown) => {
      if (!isServeError(error)) throw error;
    });
  }

  /** Past the memory: whoever got an output here does not ask for it again, and modules would have to leave. */
  async #load(output: SessionOutput, seq: number, isPacked: boolean): Promise<Loaded> {
    if ('landed' in output) return this.#loadLanded(output, seq);
    const { store, events } = this.#options;
    const { blob, size, base, encoding } = output;
    const form = isPacked && encoding === 'zstd' ? 'stored' : 'plain';
    if (base === undefined) return this.#loadChunk(blob, seq, form);
    const { bytes, isPlain } = await store.getOutputDelta({
      output: { blob, size },
      base: { blob: base.blob, size: base.size },
      seq,
    });
    if (bytes === undefined) throw new StoreFailed(`cannot read blob ${blob}: no chunk ${seq}`);
    if (isPlain && form === 'stored') {
      freeBytes(bytes);
      return this.#loadChunk(blob, seq, form);
    }
    if (seq === 0) events.buildCacheAsked('session-output', 'hit');
    if (!isPlain) events.deltaSent(Math.min(CHUNK_BYTES, size - seq * CHUNK_BYTES), bytes.byteLength);
    return { bytes, kind: isPlain ? 'bytes' : 'delta', release: () => freeBytes(bytes) };
  }

  async #loadChunk(blob: number, seq: number, form: 'stored' | 'plain'): Promise<Loaded> {
    const { store, events } = this.#options;
    const read = async () => (await store.getOutputChunk({ blob, seq, body: form })).bytes;
    const chunks = form === 'plain' ? this.#chunks : this.#packedChunks;
    const chunk = await chunks.take(blob * CHUNKS_PER_BLOB + seq, read);
    if (chunk === undefined) throw new StoreFailed(`cannot read blob ${blob}: no chunk ${seq}`);
    if (seq === 0) events.buildCacheAsked('session-output', 'hit');
    return { ...chunk, kind: form === 'plain' ? 'bytes' : 'packed' };
  }

  /** Of an output that may only just be on its way into the store. */
  async #loadLanded(
    { outputId, landed }: Pick<ComingRow, 'outputId' | 'landed'>,
    seq: number,
  ): Promise<Loaded> {
    const { store, events } = this.#options;
    if (!(await landed)) throw new StoreFailed(`cannot read output ${outputId}: it has not come`);
    const { output, bytes: first } = await store.getOutput({ outputId, body: seq === 0 ? 'plain' : 'none' });
    const blob = output?.blob;
    const later = seq === 0 || blob === undefined ? undefined : { blob, seq, body: 'plain' as const };
    const bytes = later === undefined ? first : (await store.getOutputChunk(later)).bytes;
    if (bytes === undefined) throw new StoreFailed(`cannot read output ${outputId}: no chunk ${seq}`);
    if (seq === 0) events.buildCacheAsked('session-output', 'hit');
    return { bytes, kind: 'bytes', release: () => freeBytes(bytes) };
  }

  /** @throws {NotFound} */
  #refuseFull(): void {
    if (this.#streams < SESSION_STREAMS_MAX) return;
    this.#options.events.buildCacheAsked('get-session', 'miss');
    throw new NotFound(`cannot send session: ${SESSION_STREAMS_MAX} are sent already`);
  }

  /** Of one stream, at least a byte: of a chunk, that is. */
  #aheadBytes(): number {
    return Math.min(SESSION_AHEAD_BYTES_MAX, SESSIONS_AHEAD_BYTES_MAX / Math.max(1, this.#streams));
  }

  /** Whether one more stream may be packed as one. Those that ask at the same time are told one after the other. */
  #mayRepack(): boolean {
    if (this.#longWindows + this.#soonPacked >= SESSION_LONG_WINDOWS_MAX) return false;
    this.#soonPacked++;
    setTimeout(() => this.#soonPacked--, SESSION_BEGIN_MS).unref();
    return true;
  }

  async *#counted(
    pieces: AsyncGenerator<Uint8Array, void, void>,
    encoding: StreamEncoding,
  ): AsyncGenerator<Uint8Array, void, void> {
    const isLong = encoding !== 'identity' && this.#longWindows < SESSION_LONG_WINDOWS_MAX;
    this.#streams++;
    if (isLong) this.#longWindows++;
    try {
      yield* encoded(pieces, encoding, isLong ? LONG_WINDOW : SHORT_WINDOW);
    } finally {
      this.#streams--;
      this.#chunks.trim();
      this.#packedChunks.trim();
      if (isLong) this.#longWindows--;
    }
  }
}

const NOTHING = new Uint8Array(0);

/** `encoding`: of the body. */
export type SessionBody = { readonly body: ByteStream; readonly encoding: StreamEncoding };

/** A stream begins as soon as its answer does. */
const SESSION_BEGIN_MS = 100;

/** Short IDs, each once. */
function apartOf(own: Uint8Array = NOTHING, shared: SharedSet | undefined): Uint8Array {
  const ids = Buffer.from(own.buffer, own.byteOffset, own.byteLength);
  const all = new Set(shared?.apart);
  for (let at = 0; at < ids.length; at += SHORT_ID_BYTES)
    all.add(ids.toString('hex', at, at + SHORT_ID_BYTES));
  return Buffer.from([...all].join(''), 'hex');
}

type SharedQuestion = Pick<SessionQuestion, 'namespaces' | 'key' | 'project'>;

/** Of sets that came from other servers: they do not say how their clients call them. */
const OTHERS_LABEL = '';

type Others = {
  readonly actions: readonly { readonly actionId: string }[];
  readonly held: Uint8Array;
  readonly bytesMax: number;
};

/** What of another server's set neither this one nor the client has. */
function bringOthers(shared: SharedSet, { actions, held, bytesMax }: Others): readonly ComingRow[] {
  const short = (actionId: string) => actionId.slice(0, 2 * SHORT_ID_BYTES);
  const here = new Set(actions.map(({ actionId }) => short(actionId)));
  const ids = Buffer.from(held.buffer, held.byteOffset, held.byteLength);
  for (let at = 0; at < ids.length; at += SHORT_ID_BYTES)
    here.add(ids.toString('hex', at, at + SHORT_ID_BYTES));
  return shared.bring({ isHere: (actionId) => here.has(short(actionId)), bytesMax });
}

/**
 * Of 352 MB of archives, as a build made them, they leave 77.2 and 81.1 MB. With 16 MiB at level 3 it is 77.0, with 2 MiB 78.2, and
 * for each of these zstd takes some MB more.
 */
const LONG_WINDOW: StreamPacking = { windowLog: 22, level: 3 };
const SHORT_WINDOW: StreamPacking = { windowLog: 20, level: 2 };
