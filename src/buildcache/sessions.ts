/**
 * Sessions: what `go` commands ask for together, so that the next such command gets it in one answer.
 *
 * The words: `core/session-port.ts`. The wire: `core/session-wire.ts`.
 */

import type { ByteStream } from '../core/answer.ts';
import type { ActionName } from '../core/build-cache-port.ts';
import { NotFound, StoreFailed } from '../core/errors.ts';
import { CHUNK_BYTES } from '../core/limits.ts';
import type { Clock } from '../core/ports.ts';
import type { SessionName } from '../core/session-port.ts';
import { type SessionTold, STREAM_WINDOW_LOG_MAX } from '../core/session-wire.ts';
import type { Store } from '../core/store-port.ts';
import type { LastUse } from '../flight/last-use.ts';
import type { Events } from '../observe/events.ts';
import { GeneratedBody } from './generated-body.ts';
import { SESSION_LONG_WINDOWS_MAX, SESSION_STREAMS_MAX } from './limits.ts';
import { refuseFull } from './refuse-full.ts';
import { type Loaded, type SessionOutput, sessionPieces } from './session-pieces.ts';
import { encoded, type StreamEncoding } from './stream-encoding.ts';

export type SessionsOptions = {
  readonly store: Store;
  readonly used: LastUse<ActionName>;
  readonly clock: Clock;
  readonly events: Events;
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
};

export class Sessions {
  readonly #options: SessionsOptions;
  /** That are sent now. */
  #streams = 0;
  /** Of these, those with a long window. */
  #longWindows = 0;

  constructor(options: SessionsOptions) {
    this.#options = options;
  }

  /**
   * Notes one session.
   *
   * @param put `actions`: short IDs, in the order in which they were asked for
   * @throws {Busy} nothing can be stored now. @throws {BadRequest} too many actions
   */
  async put(put: SessionName & { readonly namespace: string; readonly actions: Uint8Array }): Promise<void> {
    const { store, clock, events } = this.#options;
    refuseFull(store);
    await store.putSession({ ...put, nowMs: clock.wallMs() });
    events.buildCacheAsked('put-session', 'stored');
  }

  /** The last ones of these namespaces, newest first, without what they asked for. */
  async list(namespaces: readonly string[]): Promise<SessionTold[]> {
    const { sessions } = await this.#options.store.getSessions({ namespaces });
    return sessions.map(({ label, usedAtMs }) => ({ label, usedAtMs }));
  }

  /**
   * What such a command asked for, as a stream.
   *
   * @throws {NotFound} nobody has put such a session, or too many are sent now: a client then asks for each action alone
   */
  async stream({ bytesMax, encoding, takesDeltas, ...question }: SessionQuestion): Promise<ByteStream> {
    const { store, used, clock, events } = this.#options;
    this.#refuseFull();
    const { session, actions } = await store.getSession({ ...question, wantsBases: takesDeltas });
    this.#refuseFull(); // Others may have begun meanwhile.
    events.buildCacheAsked('get-session', session === undefined ? 'miss' : 'hit');
    if (session === undefined)
      throw new NotFound(`cannot find session ${question.key}: not in the build cache`);
    for (const { namespace, actionId, usedAtMs } of actions)
      used.note({ namespace, actionId }, { usedAtMs }, clock.wallMs());
    const load = (output: SessionOutput, seq: number) => this.#load(output, seq);
    // They keep no actions: of these there are many, and a slow client takes minutes.
    const pieces = sessionPieces({ actions, bytesMax, load });
    return new GeneratedBody(this.#counted(pieces, encoding));
  }

  /** Past the memory: whoever got an output here does not ask for it again, and modules would have to leave. */
  async #load({ blob, size, base }: SessionOutput, seq: number): Promise<Loaded> {
    const { store, events } = this.#options;
    const { bytes, isPlain } =
      base === undefined
        ? { ...(await store.getOutputChunk({ blob, seq, body: 'plain' })), isPlain: true }
        : await store.getOutputDelta({
            output: { blob, size },
            base: { blob: base.blob, size: base.size },
            seq,
          });
    if (bytes === undefined) throw new StoreFailed(`cannot read blob ${blob}: no chunk ${seq}`);
    if (seq === 0) events.buildCacheAsked('session-output', 'hit');
    if (!isPlain) events.deltaSent(Math.min(CHUNK_BYTES, size - seq * CHUNK_BYTES), bytes.byteLength);
    return { bytes, isDelta: !isPlain };
  }

  /** @throws {NotFound} */
  #refuseFull(): void {
    if (this.#streams < SESSION_STREAMS_MAX) return;
    this.#options.events.buildCacheAsked('get-session', 'miss');
    throw new NotFound(`cannot send session: ${SESSION_STREAMS_MAX} are sent already`);
  }

  async *#counted(
    pieces: AsyncGenerator<Uint8Array, void, void>,
    encoding: StreamEncoding,
  ): AsyncGenerator<Uint8Array, void, void> {
    const isLong = encoding !== 'identity' && this.#longWindows < SESSION_LONG_WINDOWS_MAX;
    this.#streams++;
    if (isLong) this.#longWindows++;
    try {
      yield* encoded(pieces, encoding, isLong ? LONG_WINDOW_LOG : SHORT_WINDOW_LOG);
    } finally {
      this.#streams--;
      if (isLong) this.#longWindows--;
    }
  }
}

const LONG_WINDOW_LOG = STREAM_WINDOW_LOG_MAX;
const SHORT_WINDOW_LOG = 21;
