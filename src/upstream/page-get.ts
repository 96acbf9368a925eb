/**
 * One GET of a small page from any host, for the question where a module's repository is.
 *
 * Knows nothing of repositories. HTTP proxies and certificates are those of the upstreams; a page is asked for once, on a
 * connection of its own: a host that fails is asked again by the next request for it.
 */

import { collect } from '../core/collect.ts';
import type { PageAnswer, PageGet } from '../core/ports.ts';
import { header } from './answer.ts';
import { createDispatchers, type Dispatchers } from './dispatchers.ts';
import { Exchange, type ExchangeObserver } from './exchange.ts';
import { HttpProxies } from './http-proxies.ts';
import { GO_IMPORT_MS } from './limits.ts';
import { type ProxyEnv, TIMEOUTS } from './settings.ts';

export type PagesOptions = {
  /** Astera's version, for `User-Agent`. */
  readonly version: string;
  readonly proxyEnv: ProxyEnv;
  /** For a whole answer; default GO_IMPORT_MS. */
  readonly timeoutMs?: number;
};

const nothing = (): void => {};

const NOBODY: ExchangeObserver = {
  connected: nothing,
  answered: nothing,
  heard: nothing,
  failed: nothing,
  ended: nothing,
};

export class Pages {
  readonly #options: PagesOptions;
  readonly #proxies: HttpProxies;
  readonly #dispatchers: Dispatchers;

  /** @throws {BadRequest} a malformed HTTP proxy */
  constructor(options: PagesOptions) {
    this.#options = options;
    this.#proxies = new HttpProxies(options.proxyEnv);
    this.#dispatchers = createDispatchers(TIMEOUTS, this.#proxies);
  }

  /** Follows no redirect. Rejects where there is no whole answer in time. */
  readonly get: PageGet = async ({ url: text, headers, bytesMax }): Promise<PageAnswer> => {
    const url = new URL(text);
    this.#proxies.check(url);
    const { version, timeoutMs = GO_IMPORT_MS } = this.#options;
    const exchange = new Exchange({
      observer: NOBODY,
      timeouts: TIMEOUTS,
      isSmall: true,
      signal: AbortSignal.timeout(timeoutMs),
    });
    this.#dispatchers.of(url, { isFresh: true }).dispatch(
      {
        origin: url.origin,
        path: url.pathname + url.search,
        method: 'GET',
        headers: { 'user-agent': `astera/${version}`, 'accept-encoding': 'identity', ...headers },
      },
      exchange,
    );
    const head = await exchange.head;
    const body = await collect(exchange, bytesMax);
    if (body === undefined) throw new Error(`its page has more than ${bytesMax} bytes`);
    return { status: head.status, location: header(head.headers, 'location'), body };
  };

  close(): Promise<void> {
    return this.#dispatchers.destroy();
  }
}
