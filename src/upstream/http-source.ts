/**
 * One HTTP proxy of the list: sends requests below its URL, follows redirects, and sorts the
 * answers into files, ServeErrors and setbacks. Knows its health and probes it when it is down.
 * Trying again is `resume.ts`'s work.
 */

import { UpstreamFailed } from '../core/errors.ts';
import type { Clock, FetchEvent } from '../core/ports.ts';
import { contentEncoding, contentLength, HTML, header, mediaType } from './answer.ts';
import type { Dispatchers } from './dispatchers.ts';
import { Exchange, type ExchangeObserver } from './exchange.ts';
import { Health } from './health.ts';
import { type Answer, isLater, judged } from './judge.ts';
import { LineWatch } from './line-watch.ts';
import { Patience } from './patience.ts';
import { cannotFetch } from './redact.ts';
import { isRedirect, nextStep } from './redirect.ts';
import { resumed } from './resume.ts';
import { finalError, Setback } from './setback.ts';
import type { Backoff, Timeouts, UpstreamEvents } from './settings.ts';
import type { Ask, Range, Source } from './source.ts';
import { encodePath } from './url-path.ts';
import { within } from './within.ts';

/** What all members of one list share. */
export type HttpContext = {
  readonly version: string;
  readonly clock: Clock;
  readonly random: () => number;
  readonly timeouts: Timeouts;
  readonly backoff: Backoff;
  readonly dispatchers: Dispatchers;
  readonly events: UpstreamEvents;
  /** Called when some member went down. */
  readonly onDown: () => void;
  /** Aborted at the end of it all: stops probes, which belong to no request. */
  readonly closing: AbortSignal;
};

/** So many bad answers in a row, over all requests, and the upstream is not having a bad moment: it is broken. */
const BAD_ANSWERS_MAX = 16;

/** "Method not allowed", "not implemented": some proxies know only GET. */
const NO_HEAD: ReadonlySet<number> = new Set([405, 501]);

export class HttpSource implements Source {
  readonly name: string;
  readonly #base: URL;
  readonly #prefix: string;
  readonly #authorization: string | undefined;
  readonly #context: HttpContext;
  readonly #health: Health;
  readonly #watch: LineWatch;
  readonly #observer: ExchangeObserver;
  readonly #probeObserver: ExchangeObserver;
  #badAnswers = 0;
  #probe: { readonly done: Promise<void>; readonly beganMs: number } | undefined;

  /** @param url may carry userinfo, which becomes an Authorization header for its own origin only */
  constructor(url: URL, context: HttpContext) {
    this.name = url.host;
    this.#authorization = basicAuthorization(url);
    this.#base = new URL(url);
    this.#base.username = '';
    this.#base.password = '';
    this.#base.hash = '';
    this.#prefix = this.#base.pathname.replace(/\/$/, '');
    this.#context = context;
    this.#health = new Health({
      clock: context.clock,
      probeGapMs: context.timeouts.probeGapMs,
      onDown: (forMs) => {
        context.events.down(this.name, forMs);
        context.onDown();
      },
    });
    this.#watch = new LineWatch(context.timeouts, () => this.#health.silent());
    this.#observer = this.#observing();
    const watch = this.#watch;
    // A probe is not part of the shared fate: it may take its whole time to find a slow line.
    this.#probeObserver = {
      ...this.#observer,
      connected: () => watch.connectTook(performance.now() - (this.#probe?.beganMs ?? performance.now())),
    };
  }

  get isDown(): boolean {
    return this.#health.isDown;
  }

  fetch(ask: Ask): AsyncGenerator<FetchEvent, void, void> {
    return resumed(this, ask, this.patienceFor(ask), this.#context.events);
  }

  async head(ask: Ask): Promise<number | undefined> {
    const patience = this.patienceFor(ask);
    for (;;) {
      try {
        const { status, headers, body } = await this.#asked(ask, undefined, 'HEAD');
        if (NO_HEAD.has(status) || (status === 200 && mediaType(headers) === HTML)) {
          await body.drain();
          return await this.#sizeByGet(ask);
        }
        const answer = await this.#judged({ status, headers, body }, ask, false);
        await answer.body.drain();
        return contentEncoding(answer.headers) === undefined ? contentLength(answer.headers) : undefined;
      } catch (error) {
        if (!(error instanceof Setback)) throw error;
        const again = await patience.after(error, { hasBegun: false, hasGained: false });
        if (!again) throw finalError(error, ask.path, this.name);
      }
    }
  }

  patienceFor({ hasFallback, signal }: Ask): Patience {
    return new Patience({
      backoff: this.#context.backoff,
      random: this.#context.random,
      signal,
      isShort: () => hasFallback || this.#badAnswers >= BAD_ANSWERS_MAX,
    });
  }

  /**
   * Asks once, over redirects.
   *
   * @throws {Setback} what a new try may mend
   * @throws {NotFound | Gone | Loop | UpstreamFailed} what none will
   */
  async open(ask: Ask, range: Range | undefined): Promise<Answer> {
    return this.#judged(await this.#asked(ask, range, 'GET'), ask, range !== undefined);
  }

  #judged(answer: Answer, { path }: Ask, isPart: boolean): Promise<Answer> {
    return judged(answer, { path, upstream: this.name, isPart, wordsMs: this.#context.timeouts.wordsMs });
  }

  /** A web page must be told from a file that is called one, and only the file's beginning does. */
  async #sizeByGet(ask: Ask): Promise<number | undefined> {
    for await (const event of this.fetch({ ...ask, bytesMax: Number.MAX_SAFE_INTEGER, resume: undefined })) {
      if (event.kind === 'start') return event.size;
    }
    return undefined;
  }

  /** The first answer that is no redirect, whatever its status. */
  async #asked(ask: Ask, range: Range | undefined, method: 'GET' | 'HEAD'): Promise<Answer> {
    if (this.#health.isSuspect) await this.#untilHeard(ask);
    const passed = [this.#urlOf(ask.path)];
    for (let url = passed[0]; url !== undefined; url = passed.at(-1)) {
      ask.signal.throwIfAborted();
      const exchange = this.#send(url, { ask, range, method });
      const head = await exchange.head;
      if (!isRedirect(head.status)) {
        this.#badAnswers = isLater(head.status) ? this.#badAnswers + 1 : 0;
        return { ...head, body: exchange };
      }
      await exchange.drain();
      const step = nextStep(passed, header(head.headers, 'location'));
      if ('refused' in step) throw new UpstreamFailed(cannotFetch(ask.path, this.name, step.refused));
      passed.push(step.url);
    }
    throw new Error('unreachable: there is always a URL to ask');
  }

  #urlOf(path: string): URL {
    const url = new URL(this.#base);
    url.pathname = `${this.#prefix}/${encodePath(path)}`;
    return url;
  }

  #send(url: URL, { ask, range, method }: { ask: Ask; range: Range | undefined; method: string }): Exchange {
    const exchange = new Exchange({
      observer: this.#observer,
      timeouts: this.#context.timeouts,
      isSmall: ask.isSmall,
      signal: ask.signal,
    });
    this.#watch.began(exchange);
    this.#dispatch(exchange, url, { via: ask.via, range, method });
    return exchange;
  }

  #dispatch(
    exchange: Exchange,
    url: URL,
    { via, range, method }: { via: string; range: Range | undefined; method: string },
  ): void {
    const headers: Record<string, string> = {
      'user-agent': `astera/${this.#context.version}`,
      'accept-encoding': 'identity',
      via,
    };
    const isOwn = url.origin === this.#base.origin;
    if (isOwn && this.#authorization !== undefined) headers.authorization = this.#authorization;
    if (range !== undefined) headers.range = `bytes=${range.from}-`;
    if (range?.ifRange !== undefined) headers['if-range'] = range.ifRange;
    const path = url.pathname + url.search;
    this.#context.dispatchers.of(url).dispatch({ origin: url.origin, path, method, headers }, exchange);
  }

  /** Waits, but not for long, for a probe to find the upstream alive; starts one if it is time for it. */
  async #untilHeard(ask: Ask): Promise<void> {
    if (this.#probe === undefined && this.#health.mayProbe) this.#startProbe(ask);
    const probe = this.#probe;
    if (probe !== undefined) {
      const restMs = this.#context.timeouts.probeWaitMs - (performance.now() - probe.beganMs);
      if (restMs > 0) await within(probe.done, restMs, ask.signal);
    }
    ask.signal.throwIfAborted();
    if (this.#health.isSuspect) throw new Setback('refused', 'it is down: no connection of late');
  }

  // A HEAD of its own, which outlives the impatient request that caused it. Of the root, which costs the upstream
  // nothing: the path that was asked for may be the slow one.
  #startProbe({ via }: Ask): void {
    this.#health.probing();
    const exchange = new Exchange({
      observer: this.#probeObserver,
      timeouts: this.#context.timeouts,
      isSmall: true,
      signal: this.#context.closing,
    });
    const done = exchange.head
      .then(
        // Any status will do: there is somebody.
        () => this.#health.heard(),
        () => {},
      )
      .finally(async () => {
        await exchange.drain();
        this.#probe = undefined;
        this.#health.probed();
      });
    this.#probe = { done, beganMs: performance.now() };
    this.#dispatch(exchange, this.#urlOf(''), { via, range: undefined, method: 'HEAD' });
  }

  #observing(): ExchangeObserver {
    const { events } = this.#context;
    return {
      connected: (exchange) => this.#watch.connected(exchange),
      answered: (exchange, status) => {
        events.request(status);
        this.#watch.heard();
        this.#watch.ended(exchange);
        // A 200 has yet to show a byte: some upstreams send heads and then nothing.
        if (status >= 300) this.#health.heard();
      },
      heard: () => {
        this.#watch.heard();
        this.#health.heard();
      },
      failed: (exchange, { kind }) => {
        if (!exchange.hasHead) events.request('error');
        // A slow path is no upstream that is down while others of its answers come.
        const isSlowPath = kind === 'stall' && this.#watch.hasHeardSince(exchange);
        if (kind === 'connect' || (kind === 'stall' && !isSlowPath)) this.#health.failed();
      },
      ended: (exchange) => this.#watch.ended(exchange),
    };
  }
}

function basicAuthorization({ username, password }: URL): string | undefined {
  if (username === '' && password === '') return undefined;
  const plain = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return `Basic ${Buffer.from(plain).toString('base64')}`;
}
