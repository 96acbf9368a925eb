/**
 * The connections: undici agents, direct or by HTTP proxy, and name lookups that are shared.
 *
 * HTTP/1.1 only: on a poor line one connection for all would mean that one loss stalls, and one
 * cut breaks, every download at once.
 */

import { lookup as dnsLookup } from 'node:dns';
import type { LookupFunction } from 'node:net';
import type { Dispatcher, buildConnector as dialling, Pool as PoolOptions } from 'undici';
import type { HttpProxies } from './http-proxies.ts';
import { reasonOf } from './setback.ts';
import type { Timeouts } from './settings.ts';
import { Agent, buildConnector, Pool, ProxyAgent } from './undici.ts';

/** The agent for a URL of that protocol, and the end of them all. */
export type Dispatchers = {
  of(url: URL): Dispatcher;
  destroy(): Promise<void>;
};

/** Node gives up on one of a host's addresses after 250 ms, less than a round trip over satellite. */
const ADDRESS_ATTEMPT_MS = 1_000;

/**
 * Idle connections live this long whatever the upstream offers: one that died unseen with the line
 * costs its next request the whole wait for a first byte.
 */
const KEEP_ALIVE_MAX_MS = 15_000;

export function createDispatchers(timeouts: Pick<Timeouts, 'connectMs'>, proxies: HttpProxies): Dispatchers {
  const connect = {
    lookup: sharedLookup(),
    autoSelectFamily: true,
    autoSelectFamilyAttemptTimeout: ADDRESS_ATTEMPT_MS,
  };
  const common = {
    allowH2: false,
    connectTimeout: timeouts.connectMs,
    // exchange.ts has its own.
    headersTimeout: 0,
    bodyTimeout: 0,
    keepAliveMaxTimeout: KEEP_ALIVE_MAX_MS,
  };
  const dial = buildConnector({ ...connect, allowH2: false, timeout: timeouts.connectMs });
  const direct = new Agent({ ...common, connect: withoutMercy(dial) });
  const proxied = new Map(
    proxies.all.map((uri) => {
      const agent = new ProxyAgent({
        ...common,
        uri,
        proxyTls: connect,
        requestTls: { allowH2: false },
        // Whatever it reaches, and however, ends here.
        factory: (origin, { connect: through, ...options }: PoolOptions.Options) =>
          new Pool(origin, {
            ...common,
            ...options,
            connect: withoutMercy(typeof through === 'function' ? naming(through) : dial),
          }),
      });
      return [uri, agent] as const;
    }),
  );
  return {
    of: (url) => proxied.get(proxies.of(url) ?? '') ?? direct,
    destroy: async () => {
      await Promise.all([direct, ...proxied.values()].map((agent) => agent.destroy()));
    },
  };
}

/**
 * Makes a reset an error wherever it comes. undici takes it for the end of a body that has neither a
 * length nor chunks, as on macOS it may be one; half a go.mod would be stored for the whole.
 */
function withoutMercy(dial: dialling.connector): dialling.connector {
  return (options, callback) =>
    dial(options, (...outcome) => {
      // Told before undici, which listens from its callback on.
      outcome[1]?.on('error', (error: NodeJS.ErrnoException) => {
        if (error.code === 'ECONNRESET') error.code = 'UND_ERR_SOCKET';
      });
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
