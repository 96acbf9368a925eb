/**
 * The module proxies that `go-import` tags of `mod` name: such a host serves a path by the GOPROXY protocol, not from Git.
 *
 * There is one for each origin and login. Follows lookupDirect of cmd/go/internal/modfetch/repo.go.
 */

import { UpstreamFailed } from '../core/errors.ts';
import type { Login } from '../core/netrc.ts';
import type { Upstream } from '../core/ports.ts';
import { quote } from '../core/quote.ts';
import { GIT_PROXIES_MAX } from './limits.ts';
import { oneLine } from './words.ts';

/** The proxy of a module, and the path below its root that the module's own begins at: empty, or with a slash at its end. */
export type ModuleProxyPlace = { readonly upstream: Upstream; readonly prefix: string };

export type ModuleProxiesOptions = {
  /** The proxy at an origin; its URL has the login, which is sent to that origin only. Called once for each. */
  readonly open: (origin: string) => Upstream;
  /** The login that Git would send to a URL. */
  readonly loginFor: (url: string) => Promise<Login | undefined>;
};

export class ModuleProxies {
  readonly #options: ModuleProxiesOptions;
  readonly #upstreams = new Map<string, Upstream>();

  constructor(options: ModuleProxiesOptions) {
    this.#options = options;
  }

  /**
   * The proxy at a URL that was checked.
   *
   * @throws {UpstreamFailed} a URL that no proxy has, or too many proxies
   */
  async at(url: string): Promise<ModuleProxyPlace> {
    const parsed = URL.parse(url);
    const prefix = parsed === null ? undefined : prefixOf(parsed);
    if (parsed === null || prefix === undefined)
      throw new UpstreamFailed(`a go-import tag names no module proxy: ${quote(oneLine(url))}`);
    const origin = new URL(parsed.origin);
    const { login = '', password = '' } = (await this.#options.loginFor(url)) ?? {};
    // A comma would begin another proxy, and a percent sign an escape.
    origin.username = encodeURIComponent(login);
    origin.password = encodeURIComponent(password);
    const upstream = this.#upstreams.get(origin.href) ?? this.#begin(origin.href);
    return { upstream, prefix };
  }

  #begin(origin: string): Upstream {
    if (this.#upstreams.size >= GIT_PROXIES_MAX)
      throw new UpstreamFailed(`go-import tags name more than ${GIT_PROXIES_MAX} module proxies`);
    const upstream = this.#options.open(origin);
    this.#upstreams.set(origin, upstream);
    return upstream;
  }
}

/** As Go's path.Join does it. Undefined for what no URL of a proxy has. */
function prefixOf({ protocol, pathname, search, hash }: URL): string | undefined {
  if (!/^https?:$/.test(protocol) || search !== '' || hash !== '') return undefined;
  try {
    const elements = decodeURIComponent(pathname)
      .split('/')
      .filter((element) => element !== '');
    return elements.map((element) => `${element}/`).join('');
  } catch {
    return undefined;
  }
}
