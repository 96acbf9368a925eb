/**
 * A GOPROXY list as one upstream. Its order and its errors are the `go` command's: the next member is asked after the same
 * errors, and the same error is shown when all have failed.
 *
 * Follows TryProxies of cmd/go/internal/modfetch/proxy.go. A server differs in one thing: `direct`
 * fetches nothing, it only adds to a 404 where it belongs, into the client's own GOPROXY.
 */

import {
  BadRequest,
  isServeError,
  NotFound,
  type ServeError,
  serveError,
  UpstreamDown,
} from '../core/errors.ts';
import { Gate } from '../core/gate.ts';
import type { FetchEvent, Fetched, FetchRequest, ModuleSource, Upstream } from '../core/ports.ts';
import { quote } from '../core/quote.ts';
import type { UpstreamState } from '../core/status.ts';
import { nextVia } from '../core/via.ts';
import { createDispatchers, type Dispatchers } from './dispatchers.ts';
import { FileSource } from './file-source.ts';
import { HttpProxies } from './http-proxies.ts';
import { HttpSource } from './http-source.ts';
import { UPSTREAM_PROOFS_MAX, UPSTREAM_QUEUE_MAX, UPSTREAM_REQUESTS_MAX } from './limits.ts';
import { type ListMember, parseProxyList } from './proxy-list-syntax.ts';
import { allEvents, BACKOFF, TIMEOUTS, type UpstreamOptions } from './settings.ts';
import type { Ask, Source } from './source.ts';
import { checkPath } from './url-path.ts';

const DIRECT_HINT =
  'Astera does not fetch public modules from their repositories; put ",direct" into the client\'s GOPROXY for that';

/** A list, its members' names for people, and its end. */
export type UpstreamList = Upstream &
  ModuleSource & {
    readonly states: readonly UpstreamState[];
    close(): Promise<void>;
  };

/**
 * The list named by `options.list`, ready to be asked. For one server, such as a checksum
 * database, a list with its URL alone will do. It opens no connection before it is asked.
 *
 * @throws {BadRequest} a malformed list or HTTP proxy, HTTP_PROXY in a CGI program, an instance id that is no token
 */
export function createUpstream(options: UpstreamOptions): UpstreamList {
  if (!/^[A-Za-z0-9._-]{1,64}$/.test(options.instance)) {
    throw new BadRequest(`cannot use instance id: ${quote(options.instance)}`);
  }
  return new ProxyList(options, parseProxyList(options.list));
}

type Asked = FetchRequest & Pick<Ask, 'isSmall'>;

type Member = { readonly source: Source; readonly fallsBack: boolean };

class ProxyList implements UpstreamList {
  readonly name = 'upstream';
  readonly #members: readonly Member[];
  readonly #end: 'off' | 'direct' | undefined;
  readonly #instance: string;
  readonly #files: Gate;
  readonly #proofs: Gate;
  readonly #dispatchers: Dispatchers;
  readonly #closing = new AbortController();
  readonly #open = new Set<AbortController>();

  constructor(options: UpstreamOptions, list: readonly ListMember[]) {
    const timeouts = { ...TIMEOUTS, ...options.timeouts };
    this.#instance = options.instance;
    const proxies = new HttpProxies(options.proxyEnv ?? {});
    this.#dispatchers = createDispatchers(timeouts, proxies);
    const queue = {
      queueMax: options.queueMax ?? UPSTREAM_QUEUE_MAX,
      full: 'cannot fetch: too many requests wait for the upstreams',
    };
    this.#files = new Gate({ placesMax: options.requestsMax ?? UPSTREAM_REQUESTS_MAX, ...queue });
    this.#proofs = new Gate({ placesMax: UPSTREAM_PROOFS_MAX, ...queue });
    const context = {
      version: options.version,
      clock: options.clock,
      random: options.random ?? Math.random,
      timeouts,
      backoff: { ...BACKOFF, ...options.backoff },
      dispatchers: this.#dispatchers,
      events: allEvents(options.events),
      loginFor: options.loginFor ?? (() => undefined),
      onDown: () => this.#refuseWaiting(),
      closing: this.#closing.signal,
    };
    const members: Member[] = [];
    for (const member of list) {
      if (member.kind === 'http') {
        proxies.check(member.url);
        members.push({ source: new HttpSource(member.url, context), fallsBack: member.fallsBack });
      } else if (member.kind === 'file') {
        members.push({ source: new FileSource(member.root, timeouts), fallsBack: member.fallsBack });
      } else this.#end = member.kind;
    }
    this.#members = members;
  }

  get isDown(): boolean {
    return this.#members.length > 0 && this.#members.every(({ source }) => source.isDown);
  }

  /** Its members in order. */
  get states(): readonly UpstreamState[] {
    return this.#members.map(({ source: { name, isDown } }) => ({ name: nameFor(name), isDown }));
  }

  /** Leaving the iteration early, or calling its `return()` at any time, ends the request. */
  stream(request: FetchRequest): AsyncIterable<FetchEvent> {
    const asked = { ...request, isSmall: false };
    return { [Symbol.asyncIterator]: () => cancellable((aborter) => this.#events(asked, aborter)) };
  }

  whole(request: FetchRequest): Promise<Fetched> {
    const asked = { ...withoutResume(request), isSmall: true };
    const aborter = new AbortController();
    return this.#inPlace(request, aborter, (via) =>
      this.#walk(asked, { via, signal: aborter.signal }, async (source, ask) => ({
        bytes: await source.whole(ask),
        upstream: source.name,
      })),
    );
  }

  head(request: FetchRequest): Promise<{ readonly size: number | undefined; readonly upstream: string }> {
    const aborter = new AbortController();
    return this.#inPlace(request, aborter, (via) =>
      this.#walk({ ...request, isSmall: true }, { via, signal: aborter.signal }, async (source, ask) => ({
        size: await source.head(ask),
        upstream: source.name,
      })),
    );
  }

  /** Ends all requests with UpstreamDown and closes all connections. */
  async close(): Promise<void> {
    const error = closed();
    this.#closing.abort(error);
    for (const gate of [this.#files, this.#proofs]) gate.refuseWaiting(closed);
    for (const aborter of this.#open) aborter.abort(error);
    await this.#dispatchers.destroy();
  }

  async *#events(request: Asked, aborter: AbortController): AsyncGenerator<FetchEvent, void, void> {
    const via = await this.#enter(request, aborter);
    try {
      const first = await this.#walk(request, { via, signal: aborter.signal }, firstEvent);
      try {
        yield first.event;
        yield* first.rest;
      } finally {
        await first.rest.return();
      }
    } finally {
      this.#leave(request, aborter);
    }
  }

  async #inPlace<T>(
    request: FetchRequest,
    aborter: AbortController,
    work: (via: string) => Promise<T>,
  ): Promise<T> {
    const via = await this.#enter(request, aborter);
    try {
      return await work(via);
    } finally {
      this.#leave(request, aborter);
    }
  }

  /** Checks the request and takes a place; returns the Via header to send. */
  async #enter(request: FetchRequest, aborter: AbortController): Promise<string> {
    this.#closing.signal.throwIfAborted();
    checkPath(request.path);
    const via = nextVia(request.via, this.#instance);
    // Requests with a place may hold it for long. Those that wait behind them would be refused anyway.
    const gate = this.#gateOf(request);
    if (gate.isFull && this.isDown) throw allDown();
    await gate.enter(aborter.signal);
    this.#open.add(aborter);
    return via;
  }

  #leave(request: FetchRequest, aborter: AbortController): void {
    this.#open.delete(aborter);
    this.#gateOf(request).leave();
  }

  #gateOf({ isProof }: FetchRequest): Gate {
    return isProof === true ? this.#proofs : this.#files;
  }

  #refuseWaiting(): void {
    if (!this.isDown) return;
    for (const gate of [this.#files, this.#proofs]) gate.refuseWaiting(allDown);
  }

  /** Asks member after member until one can answer; bytes that come later come from that one alone. */
  async #walk<T>(
    { path, bytesMax, resume, avoid, isSmall }: Asked,
    { via, signal }: { via: string; signal: AbortSignal },
    attempt: (source: Source, ask: Ask) => Promise<T>,
  ): Promise<T> {
    let worst: ServeError | undefined;
    const members = avoid === undefined ? this.#members : lastOf(this.#members, avoid);
    for (const [index, { source, fallsBack }] of members.entries()) {
      const hasFallback = fallsBack && index + 1 < members.length;
      try {
        return await attempt(source, { path, bytesMax, resume, isSmall, via, hasFallback, signal });
      } catch (error) {
        signal.throwIfAborted();
        if (!isServeError(error)) throw error;
        worst = worse(worst, error);
        if (!fallsBack && !isNotExist(error)) throw worst;
      }
    }
    throw atEnd(worst, this.#end);
  }
}

/**
 * The list with the members named `name` behind the others that bars join them to. No member crosses a comma: behind it
 * may be a public proxy, which must not hear of the modules that the internal one before it has.
 */
function lastOf(members: readonly Member[], name: string): Member[] {
  return joinedByBars(members).flatMap((run) => {
    const isAvoided = ({ source }: Member): number => Number(source.name === name);
    const order = run.toSorted((a, b) => isAvoided(a) - isAvoided(b));
    // The separator behind a place stays there.
    return order.map(({ source }, place) => ({ source, fallsBack: run[place]?.fallsBack === true }));
  });
}

function joinedByBars(members: readonly Member[]): Member[][] {
  const runs: Member[][] = [];
  let isJoined = false;
  for (const member of members) {
    if (isJoined) runs.at(-1)?.push(member);
    else runs.push([member]);
    isJoined = member.fallsBack;
  }
  return runs;
}

/** The error to show: any other is better than "not there", and a later one better than an earlier. */
function worse(known: ServeError | undefined, error: ServeError): ServeError {
  return known === undefined || isNotExist(known) || !isNotExist(error) ? error : known;
}

function isNotExist(error: ServeError): boolean {
  return error.kind === 'not-found' || error.kind === 'gone';
}

function atEnd(worst: ServeError | undefined, end: 'off' | 'direct' | undefined): Error {
  if (worst !== undefined && !isNotExist(worst)) return worst;
  // Go counts this as "not there" too (errProxyOff): "off" says that the list ends here.
  if (end === 'off') return new NotFound('cannot fetch: the upstream list says "off"');
  if (end === undefined) return worst ?? new Error('an upstream list without members or end');
  if (worst === undefined) return new NotFound(`cannot fetch: ${DIRECT_HINT}`);
  return serveError(worst.kind, `${worst.message} (${DIRECT_HINT})`);
}

async function firstEvent(
  source: Source,
  ask: Ask,
): Promise<{ event: FetchEvent; rest: AsyncGenerator<FetchEvent, void, void> }> {
  const rest = source.fetch(ask);
  const { value } = await rest.next();
  if (value === undefined) throw new Error(`${source.name} ended before it began`);
  return { event: value, rest };
}

/** A directory's path is the operator's own matter. */
function nameFor(name: string): string {
  return name.startsWith('file:') ? 'a directory' : name;
}

/** A generator's own `return()` waits for a pending `next()`; this one ends that first. */
function cancellable(
  start: (aborter: AbortController) => AsyncGenerator<FetchEvent, void, void>,
): AsyncIterator<FetchEvent, void> {
  const aborter = new AbortController();
  const events = start(aborter);
  let isLeft = false;
  return {
    next: () =>
      events.next().catch((error: unknown) => {
        if (isLeft) return { done: true, value: undefined };
        throw error;
      }),
    return: async () => {
      isLeft = true;
      aborter.abort();
      await events.return().catch(() => {});
      return { done: true, value: undefined };
    },
  };
}

function withoutResume({ resume: _, ...request }: FetchRequest): FetchRequest {
  return request;
}

function allDown(): UpstreamDown {
  return new UpstreamDown('cannot fetch: every upstream is down');
}

function closed(): UpstreamDown {
  return new UpstreamDown('cannot fetch: the server is stopping');
}
