/**
 * The connections: undici agents, direct or by HTTP proxy, and name lookups that are shared.
 *
 * HTTP/1.1 only. On a poor line a single connection for all would be bad: one lost packet would stall every download,
 * and one cut would break every download.
 */

import { lookup as dnsLookup } from 'node:dns';
import { type LookupFunction, Socket } from 'node:net';
import type { Dispatcher, buildConnector as dialling, Pool as PoolOptions } from 'undici';
import { Exchange } from './exchange.ts';
import type { HttpProxies } from './http-proxies.ts';
import { withoutInterim } from './interim.ts';
import { withoutLocal } from './local-address.ts';
import { reasonOf } from './setback.ts';
import type { Timeouts } from './settings.ts';
import { Agent, buildConnector, Client, Pool, ProxyAgent } from './undici.ts';

/** The needs that a request has of its connection. */
export type Line = {
  /** One that is made for this request and not kept. */
  readonly isFresh?: boolean;
  /** It may not lead to this machine or its own link, as somebody else chose the URL. */
  readonly isGuarded?: boolean;
};

/** The agents. Opens no connection by itself. */
export type Dispatchers = {
  /** The agent for `url`. Fails with a LocalAddress where the line is guarded against it. */
  of(url: URL, line?: Line): Dispatcher;
  destroy(): Promise<void>;
};

/** Node gives up on one of a host's addresses after 250 ms, less than a round trip over satellite. */
const ADDRESS_ATTEMPT_MS = 1_000;

/** Idle connections live no longer than this, even if the upstream offers more: one may die unseen with the line. */
const KEEP_ALIVE_MAX_MS = 15_000;

/** So long without a byte, the kernel asks the other end whether it is there: ten times, once a second. */
const TCP_PROBE_MS = 15_000;

/** Agents of one kind, by the HTTP proxy they go through; the direct one by an empty string. */
type Agents = ReadonlyMap<string, Dispatcher>;

/** @param lookup a test's own; else the system's */
export function createDispatchers(
  timeouts: Pick<Timeouts, 'connectMs'>,
  proxies: HttpProxies,
  lookup?: LookupFunction,
): Dispatchers {
  const shared = sharedLookup(lookup);
  const open = new Map<string, Agents>();
  return {
    of: (url, { isFresh = false, isGuarded = false } = {}) => {
      const key = `${isFresh} ${isGuarded}`;
      const agents = open.get(key) ?? openAgents(proxies, timeouts, { lookup: shared, isFresh, isGuarded });
      open.set(key, agents);
      const agent = agents.get(proxies.of(url) ?? '');
      if (agent === undefined) throw new Error(`no agent for ${url.protocol}`);
      return agent;
    },
    destroy: async () => {
      const all = [...open.values()].flatMap((agents) => [...agents.values()]);
      await Promise.all(all.map((agent) => agent.destroy()));
    },
  };
}

function openAgents(
  proxies: HttpProxies,
  { connectMs }: Pick<Timeouts, 'connectMs'>,
  { lookup, isFresh, isGuarded }: Required<Line> & { readonly lookup: LookupFunction },
): Agents {
  const connect = {
    lookup,
    autoSelectFamily: true,
    autoSelectFamilyAttemptTimeout: ADDRESS_ATTEMPT_MS,
    keepAliveInitialDelay: TCP_PROBE_MS,
  };
  const common = {
    allowH2: false,
    connectTimeout: connectMs,
    // undici keeps no connection where nothing is pipelined.
    pipelining: isFresh ? 0 : 1,
    // exchange.ts has its own.
    headersTimeout: 0,
    bodyTimeout: 0,
    keepAliveMaxTimeout: KEEP_ALIVE_MAX_MS,
  };
  // Not where a proxy is dialled: that may well be on this machine.
  const guarded = { ...connect, lookup: isGuarded ? withoutLocal(lookup) : lookup };
  const dial = buildConnector({ ...guarded, allowH2: false, timeout: connectMs });
  const pool = (origin: string | URL, { connect: through, ...options }: PoolOptions.Options): Dispatcher =>
    new Pool(origin, {
      ...common,
      ...options,
      factory: telling,
      connect: tamed(typeof through === 'function' ? naming(through) : dial),
    });
  const direct: Dispatcher = new Agent({ ...common, factory: (origin) => pool(origin, {}) });
  const proxied = proxies.all.map((uri) => {
    const agent: Dispatcher = new ProxyAgent({
      ...common,
      uri,
      // If it is given, undici speaks TLS to a SOCKS5 proxy.
      ...(uri.startsWith('socks5:') ? {} : { proxyTls: connect }),
      requestTls: { allowH2: false },
      // Whatever it reaches, and however, ends here.
      factory: pool,
    });
    return [uri, agent] as const;
  });
  return new Map([['', direct], ...proxied]);
}

/** A connection that tells each exchange whether it was there before. */
function telling(origin: URL, options: object): Dispatcher {
  const client = new Client(origin, options);
  const dispatch = client.dispatch.bind(client);
  client.dispatch = (request, handler) => {
    if (handler instanceof Exchange) handler.isReused = client.stats.connected;
    return dispatch(request, handler);
  };
  return client;
}

/**
 * Prepares a connection for undici. A reset becomes an error at any place: undici takes it for the end of a body that has
 * neither a length nor chunks, as on macOS it may be one. Interim answers are left out.
 */
function tamed(dial: dialling.connector): dialling.connector {
  return (options, callback) =>
    dial(options, (...outcome) => {
      // A failure comes without a second argument, although its type says otherwise.
      const [, socket]: readonly unknown[] = outcome;
      if (socket instanceof Socket) {
        // Told before undici, which listens from its callback on.
        socket.on('error', (error: NodeJS.ErrnoException) => {
          if (error.code === 'ECONNRESET') error.code = 'UND_ERR_SOCKET';
        });
        withoutInterim(socket);
      }
      callback(...outcome);
    });
}

/** Says of a failure that it was on the way through the HTTP proxy: the upstream need not be to blame. */
function naming(through: dialling.connector): dialling.connector {
  return (options, callback) =>
    through(options, (...outcome) => {
      const [error] = outcome;
      if (error === null) callback(...outcome);
      else callback(new Error(`through the HTTP proxy: ${reasonOf(error)}`, { cause: error }), null);
    });
}

type LookupCallback = Parameters<LookupFunction>[2];

/**
 * One lookup per name at a time. Each holds a thread of libuv's four until the resolver gives up:
 * with the line down, sixty of them would keep files and zlib waiting for minutes.
 */
export function sharedLookup(lookup: LookupFunction = dnsLookup as LookupFunction): LookupFunction {
  const waiting = new Map<string, LookupCallback[]>();
  return (hostname, options, callback) => {
    const key = `${hostname} ${options.family ?? 0} ${options.all ?? false} ${options.hints ?? 0}`;
    const joined = waiting.get(key);
    if (joined !== undefined) {
      joined.push(callback);
      return;
    }
    const callbacks = [callback];
    waiting.set(key, callbacks);
    lookup(hostname, options, (...answer) => {
      waiting.delete(key);
      for (const each of callbacks) each(...answer);
    });
  };
}
