/**
 * The build cache's answers, without HTTP.
 *
 *     memory ─▶ store
 *
 * An action names its output, and its answer brings the output along: one round trip a get. The first put of an action
 * wins. Nobody can check whether an action has the right output, so whoever may put runs code on every client: the
 * front asks for that right before it comes here. An output is named by its own SHA-256, which the writer checks.
 *
 * Follows cmd/go/internal/cache/cache.go.
 */

import { type Answer, StoredFile } from '../core/answer.ts';
import type { ActionName, ActionRow, OutputRow } from '../core/build-cache-port.ts';
import { Busy, Conflict, NotFound } from '../core/errors.ts';
import { WHOLE_BODY_BYTES_MAX } from '../core/limits.ts';
import type { Clock } from '../core/ports.ts';
import type { Store } from '../core/store-port.ts';
import type { LastUse } from '../flight/last-use.ts';
import type { Memory } from '../flight/memory.ts';
import type { ReadThrough } from '../flight/read-through.ts';
import type { Events } from '../observe/events.ts';
import { BUILD_ACTION_HELD_MS } from './limits.ts';
import { uploadOutput } from './output-upload.ts';

/** One stored output, and the action that was asked for where it was asked for by one. */
export type CachedOutput = { readonly file: StoredFile; readonly action: ActionRow | undefined };

export type BuildCacheOptions = {
  readonly store: Store;
  readonly memory: Memory;
  readonly readThrough: ReadThrough<CachedOutput | undefined, CachedOutput>;
  readonly used: LastUse<ActionName>;
  readonly clock: Clock;
  readonly events: Events;
};

/** An answer, and the action that it is of. */
export type CacheAnswer = { readonly answer: Answer; readonly action: ActionRow | undefined };

export class BuildCache {
  readonly #options: BuildCacheOptions;

  constructor(options: BuildCacheOptions) {
    this.#options = options;
  }

  /**
   * An action's output.
   *
   * @param namespaces in the order in which they are asked
   * @throws {NotFound} a miss
   */
  async action(actionId: string, namespaces: readonly string[]): Promise<CacheAnswer> {
    const { store, used, clock } = this.#options;
    const name = `action ${namespaces.join(' ')} ${actionId}`;
    const cached = await this.#get('get', name, async () => {
      const { action, bytes } = await store.getAction({ namespaces, actionId, body: 'plain' });
      return action && this.#keep(name, action, bytes, action);
    });
    const { action } = cached;
    if (action !== undefined) {
      const { namespace } = action;
      used.note(`${namespace} ${actionId}`, { namespace, actionId }, cached.file, clock.wallMs());
    }
    return { answer: this.#answer(cached), action };
  }

  /** An output by its ID. @throws {NotFound} a miss */
  async output(outputId: string): Promise<CacheAnswer> {
    const { store } = this.#options;
    const name = `output ${outputId}`;
    const cached = await this.#get('get-output', name, async () => {
      const { output, bytes } = await store.getOutput({ outputId, body: 'plain' });
      return output && this.#keep(name, output, bytes, undefined);
    });
    return { answer: this.#answer(cached), action: undefined };
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
   * @throws {BadRequest} its SHA-256 is another
   * @throws {Busy} there is no room for it
   */
  async putOutput(outputId: string, body: AsyncIterable<Uint8Array>): Promise<void> {
    const { store, clock, events } = this.#options;
    this.#refuseFull();
    const isNew = await uploadOutput({ store, clock, outputId, body });
    events.buildCacheAsked('put-output', isNew ? 'stored' : 'known');
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
    this.#refuseFull();
    const { outcome } = await store.putAction({ ...put, nowMs: clock.wallMs() });
    events.buildCacheAsked('put', outcome);
    if (outcome !== 'refused') return;
    events.buildConflict(put.actionId, put.outputId);
    throw new Conflict(`cannot put action ${put.actionId}: it has another output, which stays`);
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

  /** @throws {Busy} nothing can be stored now */
  #refuseFull(): void {
    const { full } = this.#options.store;
    if (full !== undefined) throw new Busy(`cannot store: ${full}`);
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
    bytes: Uint8Array | undefined,
    action: ActionRow | undefined,
  ): CachedOutput {
    const { memory, clock } = this.#options;
    const isWhole = row.size <= WHOLE_BODY_BYTES_MAX;
    const file = new OutputFile(row, {
      action,
      body: isWhole ? (bytes ?? NOTHING) : undefined,
      freshUntilMs: clock.monotonicMs() + BUILD_ACTION_HELD_MS,
    });
    if (!isWhole && bytes !== undefined) memory.setPiece(row.blob, 0, bytes);
    memory.setFile(name, file);
    return { file, action };
  }

  #answer({ file }: CachedOutput): Answer {
    const { kind, status, size, blob, sha256 } = file;
    const { memory, store } = this.#options;
    const plain = (chunk: { blob: number; seq: number }) => store.getOutputChunk({ ...chunk, body: 'plain' });
    const body = file.body ?? (blob === undefined ? undefined : memory.stream(blob, size, plain));
    return { kind, status, origin: 'store', size, sha256, body };
  }
}

/** An output in memory, under the name of an action or of its own. */
class OutputFile extends StoredFile {
  readonly action: ActionRow | undefined;

  constructor(
    { size, blob, outputId }: OutputRow,
    held: Pick<StoredFile, 'body' | 'freshUntilMs'> & { readonly action: ActionRow | undefined },
  ) {
    const { action, body, freshUntilMs } = held;
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
    this.usedAtMs = action?.usedAtMs ?? 0;
  }
}

const NOTHING = new Uint8Array(0);
