/**
 * One HTTP proxy of the list: sends requests below its URL, follows redirects, and sorts the
 * answers into files, ServeErrors and setbacks. `liveness.ts` finds out
 * whether it is there, and `resume.ts` tries again.
 */

import { UpstreamFailed } from '../core/errors.ts';
import type { Login } from '../core/netrc.ts';
import type { Clock, FetchEvent } from '../core/ports.ts';
import { contentEncoding, contentLength, HTML, header, mediaType } from './answer.ts';
import { headOf } from './beside.ts';
import type { Dispatchers } from './dispatchers.ts';
import { Download } from './download.ts';
import { Exchange } from './exchange.ts';
import { type Answer, isLater, judged } from './judge.ts';
import { Liveness } from './liveness.ts';
import { isLocal, LocalAddress } from './local-address.ts';
import { Patience } from './patience.ts';
import { cannotFetch } from './redact.ts';
import { isRedirect, nextStep } from './redirect.ts';
import { resumed } from './resume.ts';
import { finalError, Setback } from './setback.ts';
import type { Backoff, LoginFor, Timeouts, UpstreamEvents } from './settings.ts';
import { type Ask, joined, type Range, type Source } from './source.ts';
import { encodePath } from './url-path.ts';

/** The parts that all members of one list share. */
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
  /** The operator's login for a URL that has none itself. */
  readonly loginFor: LoginFor;
  /** Aborted when the list is closed. It stops probes, which belong to no request. */
  readonly closing: AbortSignal;
};

/** After so many bad answers in a row, over all requests, the upstream counts as broken. */
const BAD_ANSWERS_MAX = 16;

/** A file is asked for so often if no answer shows its end. */
const UNSURE_MAX = 4;

/** "Method not allowed", "not implemented": some proxies know only GET. */
const NO_HEAD: ReadonlySet<number> = new Set([405, 501]);

export class HttpSource implements Source {
  readonly name: string;
  readonly #base: URL;
  readonly #prefix: string;
  /** Of the URL itself. */
  readonly #login: Login | undefined;
  readonly #context: HttpContext;
  readonly #liveness: Liveness;
  #badAnswers = 0;

  /** @param url may carry userinfo. Like the operator's login, it is sent to the URL's own origin only */
  constructor(url: URL, context: HttpContext) {
    this.name = url.host;
    this.#login = userinfoOf(url);
    this.#base = new URL(url);
    this.#base.username = '';
    this.#base.password = '';
    this.#base.hash = '';
    // As Go's path.Join does it. The URL class has done the rest of path.Join's work.
    this.#prefix = this.#base.pathname.replace(/\/{2,}/g, '/').replace(/\/$/, '');
    this.#context = context;
    this.#liveness = new Liveness({
      ...context,
      onDown: (forMs) => {
        context.events.down(this.name, forMs);
        context.onDown();
      },
      onRequest: (status) => context.events.request(status),
      probe: (exchange, { path, via }) =>
        this.#dispatch(exchange, this.#urlOf(path), { via, range: undefined, method: 'HEAD', isFresh: true }),
    });
  }

  get isDown(): boolean {
    return this.#liveness.isDown;
  }

  fetch(ask: Ask): AsyncGenerator<FetchEvent, void, void> {
    return this.#resumed(ask, { download: new Download(ask, this.name), patience: this.patienceFor(ask) });
  }

  /** If no answer shows the file's end, the file counts once two answers are equal. */
  async whole(ask: Ask): Promise<Uint8Array> {
    const patience = this.patienceFor(ask);
    const unsure: Uint8Array[] = [];
    while (unsure.length < UNSURE_MAX) {
      const download = new Download(ask, this.name);
      const bytes = await joined(this.#resumed(ask, { download, patience }));
      if (download.isEndSure || unsure.some((other) => Buffer.compare(other, bytes) === 0)) return bytes;
      unsure.push(bytes);
    }
    throw new UpstreamFailed(
      cannotFetch(ask.path, this.name, 'nothing shows where it ends, and it is another file each time'),
    );
  }

  #resumed(
    ask: Ask,
    state: { readonly download: Download; readonly patience: Patience },
  ): AsyncGenerator<FetchEvent, void, void> {
    return resumed(this, ask, { ...state, events: this.#context.events });
  }

  async head(ask: Ask): Promise<number | undefined> {
    const patience = this.patienceFor(ask);
    for (;;) {
      try {
        const { status, headers, body } = await patience.waiting((waitMs) =>
          this.#asked(ask, { range: undefined, method: 'HEAD', waitMs }),
        );
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
    const { backoff, random, timeouts } = this.#context;
    return new Patience({
      backoff,
      random,
      signal,
      firstByteMs: timeouts.firstByteMs,
      isShort: () => hasFallback || this.#badAnswers >= BAD_ANSWERS_MAX,
    });
  }

  /**
   * Asks once, over redirects.
   *
   * @throws {Setback} a failure that a new try may mend
   * @throws {NotFound | Gone | Loop | UpstreamFailed} one that no try will mend
   */
  async open(ask: Ask, range: Range | undefined, waitMs: number): Promise<Answer> {
    const answer = await this.#asked(ask, { range, method: 'GET', waitMs });
    return this.#judged(answer, ask, range !== undefined);
  }

  #judged(answer: Answer, { path }: Ask, isPart: boolean): Promise<Answer> {
    return judged(answer, { path, upstream: this.name, isPart, wordsMs: this.#context.timeouts.wordsMs });
  }

  /** Some files are served as `text/html`. Only the beginning shows whether it is a web page. */
  async #sizeByGet(ask: Ask): Promise<number | undefined> {
    for await (const event of this.fetch({ ...ask, bytesMax: Number.MAX_SAFE_INTEGER, resume: undefined })) {
      if (event.kind === 'start') return event.size;
    }
    return undefined;
  }

  /** The first answer that is no redirect, with any status. All steps to it share the wait. */
  async #asked(ask: Ask, { waitMs, ...request }: Request & { readonly waitMs: number }): Promise<Answer> {
    const { timeouts } = this.#context;
    const untilMs = performance.now() + waitMs;
    await this.#liveness.untilHeard(ask);
    const passed = [this.#urlOf(ask.path)];
    for (let url = passed[0]; url !== undefined; url = passed.at(-1)) {
      ask.signal.throwIfAborted();
      const step = { ...request, url, firstByteMs: Math.max(1, untilMs - performance.now()) };
      const { head, exchange } = await headOf(
        (isFresh) => this.#send(ask, { ...step, isFresh }),
        timeouts.besideMs,
      ).catch((error: unknown) => {
        if (!(error instanceof LocalAddress)) throw error;
        throw new UpstreamFailed(cannotFetch(ask.path, this.name, `redirect refused: ${error.message}`));
      });
      if (!isRedirect(head.status)) {
        this.#badAnswers = isLater(head.status) ? this.#badAnswers + 1 : 0;
        return { ...head, body: exchange };
      }
      await exchange.drain();
      const next = nextStep(passed, header(head.headers, 'location'));
      if ('refused' in next) throw new UpstreamFailed(cannotFetch(ask.path, this.name, next.refused));
      passed.push(next.url);
    }
    throw new Error('unreachable: there is always a URL to ask');
  }

  #urlOf(path: string): URL {
    const url = new URL(this.#base);
    url.pathname = `${this.#prefix}/${encodePath(path)}`;
    return url;
  }

  #send(
    ask: Ask,
    { url, firstByteMs, ...request }: Sent & { readonly url: URL; readonly firstByteMs: number },
  ): Exchange {
    const isAway = url.origin !== this.#base.origin;
    const exchange = new Exchange({
      observer: this.#liveness.observer(ask, isAway),
      timeouts: { ...this.#context.timeouts, firstByteMs },
      isSmall: ask.isSmall,
      signal: ask.signal,
    });
    this.#liveness.began(exchange, isAway);
    this.#dispatch(exchange, url, { ...request, via: ask.via });
    return exchange;
  }

  #dispatch(
    exchange: Exchange,
    url: URL,
    { via, range, method, isFresh }: Sent & { readonly via: string },
  ): void {
    const headers: Record<string, string> = {
      'user-agent': `astera/${this.#context.version}`,
      'accept-encoding': 'identity',
      via,
    };
    const isOwn = url.origin === this.#base.origin;
    const login = isOwn ? (this.#login ?? this.#context.loginFor(this.#base)) : undefined;
    if (login !== undefined) headers.authorization = basicAuthorization(login);
    if (range !== undefined) headers.range = `bytes=${range.from}-`;
    if (range?.ifRange !== undefined) headers['if-range'] = range.ifRange;
    const path = url.pathname + url.search;
    // An upstream that is here itself may send us wherever it likes.
    const isGuarded = url.hostname !== this.#base.hostname && !isLocal(this.#base);
    const agent = this.#context.dispatchers.of(url, { isFresh, isGuarded });
    agent.dispatch({ origin: url.origin, path, method, headers }, exchange);
  }
}

type Request = { readonly range: Range | undefined; readonly method: 'GET' | 'HEAD' };

type Sent = Request & { readonly isFresh: boolean };

function userinfoOf({ username, password }: URL): Login | undefined {
  if (username === '' && password === '') return undefined;
  return { login: decodeURIComponent(username), password: decodeURIComponent(password) };
}

function basicAuthorization({ login, password }: Login): string {
  return `Basic ${Buffer.from(`${login}:${password}`).toString('base64')}`;
}
