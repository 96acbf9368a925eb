/**
 * The module proxy's answers, without HTTP.
 *
 *     memory ─▶ store ─▶ source
 *
 * `flight/read-through.ts` holds the order, `module-steps.ts` each step.
 */

import { type Answer, StoredFile } from '../core/answer.ts';
import { isServeError } from '../core/errors.ts';
import { SMALL_BYTES_MAX, WHOLE_BODY_BYTES_MAX } from '../core/limits.ts';
import { type Hold, type ReadThrough, shareButLoops } from '../flight/read-through.ts';
import type { Singleflight } from '../flight/singleflight.ts';
import { StaleWait } from '../flight/stale-wait.ts';
import { Fetcher, type FetcherOptions } from './fetcher.ts';
import type { Found, Read } from './found.ts';
import { type ModuleAsk, ModuleSteps, type ModuleStepsOptions } from './module-steps.ts';

export type ModuleProxyOptions = FetcherOptions &
  Pick<ModuleStepsOptions, 'lastUse' | 'storedCheck'> & {
    readonly readThrough: ReadThrough<Read, Found>;
    /** Flights of the `head:` key space. */
    readonly heads: Singleflight<Answer>;
    readonly staleWaitMs: number;
    readonly isOffline: boolean;
  };

export type ProxyRequest = ModuleAsk & { readonly isHead: boolean };

export class ModuleProxy {
  readonly #options: ModuleProxyOptions;
  readonly #stepsOptions: ModuleStepsOptions;

  constructor(options: ModuleProxyOptions) {
    this.#options = options;
    const staleWait = new StaleWait<Found>(options.staleWaitMs);
    this.#stepsOptions = { ...options, fetcher: new Fetcher(options), staleWait };
  }

  /** The file under `key`, if it is in memory and fresh. This is the hot path: no promise. */
  peek(key: string): StoredFile | undefined {
    const { memory, freshness } = this.#options;
    const file = memory.file(key);
    return file !== undefined && freshness.isFresh(file) ? file : undefined;
  }

  /**
   * All of a file's body, if it is in memory and has at most WHOLE_BODY_BYTES_MAX bytes. A zip's body is lent for this
   * turn of the event loop.
   */
  bodyNow({ body, blob, size }: StoredFile): Uint8Array | undefined {
    if (size > WHOLE_BODY_BYTES_MAX) return undefined;
    if (body !== undefined || blob === undefined) return body;
    const bytes = this.#options.memory.heldPiece(blob, 0)?.bytes;
    return bytes?.byteLength === size ? bytes : undefined;
  }

  /** The answer to one request. @throws any of `core/errors.ts` but BadRequest */
  async get(request: ProxyRequest): Promise<Answer> {
    const { readThrough, memory, sources, isOffline } = this.#options;
    sources.of(request.resource);
    const mayFetch = request.mayFetch && !isOffline;
    const steps = new ModuleSteps({ ...request, mayFetch }, this.#stepsOptions);
    const isAskedByHead = request.isHead && mayFetch && memory.file(request.key) === undefined;
    return isAskedByHead ? this.#answerHead(request, steps) : this.#answer(await readThrough.get(steps));
  }

  #answer(found: Found): Answer {
    if ('download' in found) {
      const body = found.download.body();
      const size = body instanceof Uint8Array ? body.byteLength : body.size;
      return {
        kind: 'zip',
        status: 200,
        origin: found.download.source,
        size,
        sha256: undefined,
        isTentative: true,
        body,
      };
    }
    const { file, origin } = found;
    const { kind, status, size, blob, isTentative } = file;
    const body = file.body ?? (blob === undefined ? undefined : this.#options.memory.stream(blob, size));
    return { kind, status, origin, size, sha256: file.sha256 || undefined, isTentative, body };
  }

  /** Answers a HEAD. It asks the source for the size alone, so that no zip is fetched for it. */
  async #answerHead(request: ProxyRequest, steps: ModuleSteps): Promise<Answer> {
    const { readThrough, heads, freshness } = this.#options;
    const { file } = await readThrough.read(steps);
    if (file !== undefined && (freshness.isFresh(file) || file.status === 200)) {
      return this.#answer({ file, origin: freshness.isFresh(file) ? 'store' : 'stale' });
    }
    const remembered = this.peek(headAnswerKey(steps.key));
    if (remembered !== undefined) return this.#answer({ file: remembered, origin: 'memory' });
    return shareButLoops(heads, `head:${steps.key}`, steps, (hold) =>
      this.#askHead(request, steps, file, hold),
    );
  }

  async #askHead(
    { resource, key, via }: ProxyRequest,
    steps: ModuleSteps,
    known: StoredFile | undefined,
    hold: Hold,
  ): Promise<Answer> {
    const { sources } = this.#options;
    try {
      const asked = { resource, path: key, bytesMax: SMALL_BYTES_MAX, ...(via !== undefined && { via }) };
      const { size, source } = await sources.head(asked);
      if (size !== undefined) this.#rememberHead({ resource, key }, size);
      const { kind } = resource;
      return { kind, status: 200, origin: source, size, sha256: undefined, body: undefined };
    } catch (error) {
      if (!isServeError(error)) throw error;
      if (error.kind === 'not-found' || error.kind === 'gone') {
        return this.#answer(this.#stepsOptions.fetcher.absent(steps.fetchJob(hold), error, known));
      }
      if (known !== undefined) return this.#answer({ file: known, origin: 'stale' });
      return this.#answer(await steps.computed(error));
    }
  }

  #rememberHead({ resource, key }: Pick<ProxyRequest, 'resource' | 'key'>, size: number): void {
    const { memory, clock, negativeTtlMs } = this.#options;
    const freshUntilMs = clock.monotonicMs() + negativeTtlMs;
    const { kind } = resource;
    const answer = {
      kind,
      status: 200,
      size,
      body: undefined,
      blob: undefined,
      sha256: '',
      freshUntilMs,
      visibility: 'private', // It answers only HEAD requests, and the right of their clients is checked.
    } as const;
    memory.setFile(headAnswerKey(key), new StoredFile(answer));
  }
}

/** The key in memory of an answer to HEAD. No URL has a space, so no GET can find it. */
function headAnswerKey(key: string): string {
  return `HEAD ${key}`;
}
