/** The lists of upstreams that a server asks: they share their settings and the operator's logins, and are closed together. */

import { prefixMatcher } from '../core/glob.ts';
import { netrcPath } from '../core/netrc.ts';
import type { UpstreamState } from '../core/status.ts';
import type { SourceRoute } from '../modules/sources.ts';
import type { Events } from '../observe/events.ts';
import type { Config } from '../settings/config.ts';
import { asteraVersion } from '../settings/version.ts';
import { NetrcLogins } from '../upstream/netrc-logins.ts';
import { createUpstream, type UpstreamList } from '../upstream/proxy-list.ts';
import { clock } from './clock.ts';
import { usable } from './databases.ts';

type UpstreamsOptions = { readonly config: Config; readonly instance: string; readonly events: Events };

export class Upstreams {
  readonly #options: UpstreamsOptions;
  readonly #open: UpstreamList[] = [];
  readonly #forModules: UpstreamList[] = [];
  readonly #netrc: NetrcLogins;

  constructor(options: UpstreamsOptions) {
    this.#options = options;
    const { config, events } = options;
    this.#netrc = new NetrcLogins(netrcPath(config.environment), (why) => events.upstreamWarned(why));
  }

  /** Reads the operator's logins again. */
  readLogins(): void {
    this.#netrc.read();
  }

  /** @throws {UsageError} a malformed list or HTTP proxy */
  open(list: string): UpstreamList {
    const { config, instance, events } = this.#options;
    const upstream = usable(() =>
      createUpstream({
        list,
        instance,
        loginFor: this.#netrc.loginFor,
        version: asteraVersion(),
        clock,
        proxyEnv: config.proxyEnv,
        timeouts: { firstByteMs: config.firstByteWaitMs },
        events: {
          request: (status) => events.upstreamAnswered(status),
          resume: () => events.upstreamResumed(),
          warn: (message) => events.upstreamWarned(message),
          down: (name, forMs) => events.upstreamDown(name, forMs),
        },
      }),
    );
    this.#open.push(upstream);
    return upstream;
  }

  /** Opens what modules come from: the one for all, and those of `--route`. @throws as {@link open} */
  openForModules(): { readonly upstream: UpstreamList; readonly moduleRoutes: SourceRoute[] } {
    const { upstream: list, routes } = this.#options.config;
    const open = (one: string) => {
      const upstream = this.open(one);
      this.#forModules.push(upstream);
      return upstream;
    };
    const upstream = open(list);
    const moduleRoutes = routes.map((route) => ({
      matches: prefixMatcher(route.pattern),
      source: open(route.list),
    }));
    return { upstream, moduleRoutes };
  }

  /** The states of those that modules come from. One that is in several lists is down if one of them finds it so. */
  get states(): UpstreamState[] {
    const byName = new Map<string, UpstreamState>();
    for (const { name, isDown } of this.#forModules.flatMap(({ states }) => states))
      byName.set(name, { name, isDown: isDown || byName.get(name)?.isDown === true });
    return [...byName.values()];
  }

  async close(): Promise<void> {
    await Promise.all(this.#open.map((upstream) => upstream.close()));
  }
}
