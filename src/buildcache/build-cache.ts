/**
 * The build cache's answers, without HTTP.
 *
 *     memory ─▶ store ─▶ bucket, if there is one
 *
 * An action names its output, and its answer brings the output along: one round trip a get. The first put of an action
 * wins. Nobody can check whether an action has the right output, so whoever may put runs code on every client: the
 * front asks for that right before it comes here. An output is named by its own SHA-256, which the writer checks.
 *
 * Follows cmd/go/internal/cache/cache.go.
 */

import { type Answer, StoredFile } from '../core/answer.ts';
import type { ActionName, ActionRow, OutputRow } from '../core/build-cache-port.ts';
import { Conflict, NotFound } from '../core/errors.ts';
import { CHUNK_BYTES, WHOLE_BODY_BYTES_MAX } from '../core/limits.ts';
import type { Clock } from '../core/ports.ts';
import type { Store } from '../core/store-port.ts';
import type { LastUse } from '../flight/last-use.ts';
import type { Memory } from '../flight/memory.ts';
import type { ReadThrough } from '../flight/read-through.ts';
import type { Events } from '../observe/events.ts';
import type { ActionFilters } from './action-filters.ts';
import { undoneChunks } from './delta-upload.ts';
import { BUILD_ACTION_HELD_MS, DELTA_PUTS_MAX } from './limits.ts';
import { framedChunks, packedChunks, uploadOutput } from './output-upload.ts';
import { PACKED_SEQ, PackedStream } from './packed-stream.ts';
import { refuseFull } from './refuse-full.ts';

/** One stored output, and the action that was asked for where it was asked for by one. */
export type CachedOutput = { readonly file: StoredFile; readonly action: ActionRow | undefined };

export type BuildCacheOptions = {
  readonly store: Store;
  readonly memory: Memory;
  readonly readThrough: ReadThrough<CachedOutput | undefined, CachedOutput>;
  readonly used: LastUse<ActionName>;
  /** Told of each new action. */
  readonly filters: Pick<ActionFilters, 'add'>;
  readonly clock: Clock;
  readonly events: Events;
  /** Brings an action of the main namespace into the store from elsewhere; never rejects. Absent: there is no such place. */
  readonly bring?: ((actionId: string) => Promise<boolean>) | undefined;
};

/** An answer, and the action that it is of. */
export type CacheAnswer = {
  readonly answer: Answer;
  readonly action: ActionRow | undefined;
  /** The size of the output, where the answer's body is its zstd stream. */
  readonly unpackedSize: number | undefined;
};

/** The form of a body: as the store has it, packed or not, or plain. */
export type Form = 'stored' | 'plain';

export class BuildCache {
  readonly #options: BuildCacheOptions;
  /** That are under way. */
  #deltaPuts = 0;
  /** Rises as stored outputs are dropped. */
  #drops = 0;

  constructor(options: BuildCacheOptions) {
    this.#options = options;
  }

  /**
   * An action's output.
   *
   * @param namespaces in the order in which they are asked
   * @throws {NotFound} a miss
   */
  async action(actionId: string, namespaces: readonly string[], form: Form = 'plain'): Promise<CacheAnswer> {
    const { store, used, clock, bring } = this.#options;
    const name = `action ${form} ${namespaces.join(' ')} ${actionId}`;
    const cached = await this.#get('get', name, async () => {
      const drops = this.#drops;
      const get = () => store.getAction({ namespaces, actionId, body: form });
      let found = await get();
      const mayBeElsewhere = found.action === undefined && namespaces.includes('');
      if (mayBeElsewhere && (await bring?.(actionId)) === true) found = await get();
      const { action, bytes } = found;
      return action && this.#keep(name, action, { form, bytes, action, drops });
    });
    const { action } = cached;
    if (action !== undefined) {
      const { namespace } = action;
      used.note({ namespace, actionId }, cached.file, clock.wallMs());
    }
    return this.#answer(cached);
  }

  /** An output by its ID. @throws {NotFound} a miss */
  async output(outputId: string, form: Form = 'plain'): Promise<CacheAnswer> {
    const { store } = this.#options;
    const name = `output ${form} ${outputId}`;
    const cached = await this.#get('get-output', name, async () => {
      const drops = this.#drops;
      const { output, bytes } = await store.getOutput({ outputId, body: form });
      return output && this.#keep(name, output, { form, bytes, action: undefined, drops });
    });
    return this.#answer(cached);
  }

  /** Whether an output need not be sent: it is stored. */
  async hasOutput(outputId: string): Promise<boolean> {
    const { stored } = await this.#options.store.getOutputsStored({ outputIds: [outputId] });
    const isStored = stored[0] === true;
    this.#options.events.buildCacheAsked('has-output', isStored ? 'hit' : 'miss');
    return isStored;
  }

  /**
   * Stores an output.
   *
   * @param body its bytes as they come
   * @param packedSize where `body` is a zstd stream of one frame a chunk: the size of the output
   * @throws {BadRequest} its SHA-256 is another, or it is packed otherwise
   * @throws {Busy} there is no room for it
   */
  async putOutput(outputId: string, body: AsyncIterable<Uint8Array>, packedSize?: number): Promise<void> {
    const { store, clock, events } = this.#options;
    refuseFull(store);
    const chunks = packedSize === undefined ? packedChunks(body) : framedChunks(body, packedSize);
    const isNew = await uploadOutput({ store, clock, outputId, chunks });
    events.buildCacheAsked('put-output', isNew ? 'stored' : 'known');
  }

  /**
   * Stores an output that comes as deltas.
   *
   * @param of `baseId`: what they are against; `size`: of the output, as its client states it
   * @throws {NotFound} that one is not stored, or too many such puts are under way
   * @throws as `putOutput`
   */
  async putOutputDelta(
    outputId: string,
    body: AsyncIterable<Uint8Array>,
    { baseId, size }: { readonly baseId: string; readonly size: number },
  ): Promise<void> {
    const { store, clock, events } = this.#options;
    refuseFull(store);
    const { output: base } = await store.getOutput({ outputId: baseId, body: 'none' });
    if (base === undefined || this.#deltaPuts >= DELTA_PUTS_MAX)
      throw new NotFound(`cannot take deltas against output ${baseId}: put it whole`);
    this.#deltaPuts++;
    try {
      const chunks = packedChunks(undoneChunks({ store, base, size, body }));
      const isNew = await uploadOutput({ store, clock, outputId, chunks });
      events.buildCacheAsked('put-delta', isNew ? 'stored' : 'known');
    } finally {
      this.#deltaPuts--;
    }
  }

  /**
   * Stores an action, whose output must be stored before.
   *
   * @param put `time`: as its client gave it, Unix ns, decimal; `note`: text to keep beside it, without spaces
   * @throws {NotFound} its output is not stored
   * @throws {Conflict} the action has another output, which stays
   */
  async putAction(
    put: ActionName & { readonly outputId: string; readonly time: string; readonly note?: string },
  ): Promise<void> {
    const { store, clock, events } = this.#options;
    refuseFull(store);
    const { outcome } = await store.putAction({ ...put, nowMs: clock.wallMs() });
    events.buildCacheAsked('put', outcome);
    if (outcome === 'stored') this.#options.filters.add(put);
    if (outcome !== 'refused') return;
    events.buildConflict(put.actionId, put.outputId);
    throw new Conflict(`cannot put action ${put.actionId}: it has another output, which stays`);
  }

  /** Drops an action that can't be trusted. No client gets it from then on. */
  dropAction: Store['dropAction'] = (request) => this.#drop(() => this.#options.store.dropAction(request));

  /** Drops a damaged output. No client gets it from then on. */
  dropOutput: Store['dropOutput'] = (request) => this.#drop(() => this.#options.store.dropOutput(request));

  /** Drops a bounded number of all. No client gets them from then on. */
  forgetActions: Store['forgetActions'] = (request) =>
    this.#drop(() => this.#options.store.forgetActions(request));

  async #drop<T>(drop: () => Promise<T>): Promise<T> {
    const dropped = await drop();
    this.#drops++; // A read that is under way may have found it still.
    this.#options.memory.deleteFiles('action ');
    this.#options.memory.deleteFiles('output ');
    return dropped;
  }

  async #get(
    op: 'get' | 'get-output',
    name: string,
    read: () => Promise<CachedOutput | undefined>,
  ): Promise<CachedOutput> {
    const { readThrough, events } = this.#options;
    const miss = () => Promise.reject(new NotFound(`cannot find ${name}: not in the build cache`));
    const cached = readThrough.get({
      key: name,
      mayFetch: false,
      via: undefined,
      held: () => {
        const answer = this.#held(name);
        return answer && { answer, isFresh: true };
      },
      read,
      fresh: (found) => found,
      stored: (found) => found ?? miss(),
      fetch: miss,
      refuseLoop: async () => {},
    });
    return cached.then(
      (found) => {
        events.buildCacheAsked(op, 'hit');
        return found;
      },
      (error: unknown) => {
        events.buildCacheAsked(op, error instanceof NotFound ? 'miss' : 'failed');
        throw error;
      },
    );
  }

  #held(name: string): CachedOutput | undefined {
    const { memory, clock } = this.#options;
    const file = memory.file(name);
    if (!(file instanceof OutputFile) || file.freshUntilMs <= clock.monotonicMs()) return undefined;
    return { file, action: file.action };
  }

  #keep(
    name: string,
    row: OutputRow,
    of: { form: Form; bytes: Uint8Array | undefined; action: ActionRow | undefined; drops: number },
  ): CachedOutput {
    const { memory, clock } = this.#options;
    const isPacked = of.form === 'stored' && row.encoding === 'zstd';
    const size = isPacked ? row.storedBytes : row.size;
    const isWhole = size <= WHOLE_BODY_BYTES_MAX && row.size <= CHUNK_BYTES;
    const file = new OutputFile(row, {
      action: of.action,
      size,
      unpackedSize: isPacked ? row.size : undefined,
      body: isWhole ? (of.bytes ?? NOTHING) : undefined,
      freshUntilMs: clock.monotonicMs() + BUILD_ACTION_HELD_MS,
    });
    if (!isWhole && of.bytes !== undefined) memory.setPiece(row.blob, isPacked ? PACKED_SEQ : 0, of.bytes);
    if (of.drops === this.#drops) memory.setFile(name, file);
    return { file, action: of.action };
  }

  #answer({ file, action }: CachedOutput): CacheAnswer {
    const { kind, status, size, sha256 } = file;
    const unpackedSize = file instanceof OutputFile ? file.unpackedSize : undefined;
    const body = file.body ?? this.#stream(file, unpackedSize);
    // A tag is of the plain bytes.
    const answer = { kind, status, origin: 'store' as const, size, body };
    return {
      answer: { ...answer, sha256: unpackedSize === undefined ? sha256 : undefined },
      action,
      unpackedSize,
    };
  }

  #stream({ blob, size }: StoredFile, unpackedSize: number | undefined): Answer['body'] {
    const { memory, store } = this.#options;
    if (blob === undefined) return undefined;
    if (unpackedSize !== undefined) {
      const chunks = Math.ceil(unpackedSize / CHUNK_BYTES);
      return new PackedStream({ memory, store, blob, chunks, size });
    }
    return memory.stream(blob, size, (chunk) => store.getOutputChunk({ ...chunk, body: 'plain' }));
  }
}

type OutputFields = Pick<StoredFile, 'body' | 'freshUntilMs' | 'size'> & {
  readonly action: ActionRow | undefined;
  readonly unpackedSize: number | undefined;
};

/** An output in memory, under the name of an action or of its own. */
class OutputFile extends StoredFile {
  readonly action: ActionRow | undefined;
  /** The size of the output, where the body is packed. */
  readonly unpackedSize: number | undefined;

  constructor(
    { blob, outputId }: OutputRow,
    { action, unpackedSize, body, freshUntilMs, size }: OutputFields,
  ) {
    // No endpoint's hot path finds it: the names of actions and outputs have spaces.
    super({
      kind: 'output',
      status: 200,
      size,
      body,
      blob,
      sha256: outputId,
      freshUntilMs,
      visibility: 'private',
    });
    this.action = action;
    this.unpackedSize = unpackedSize;
    this.usedAtMs = action?.usedAtMs ?? 0;
  }
}

const NOTHING = new Uint8Array(0);
