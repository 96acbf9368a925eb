/**
 * The sources of modules, in order.
 *
 *     private   Git                  no proxy ever hears of the module
 *     public    bucket, upstreams
 *
 * Sources are asked one after the other. After any failure of an earlier source the next one is asked. The last source
 * decides: its 404 is the answer, and its failure is the client's error.
 */

import { Forbidden, isServeError } from '../core/errors.ts';
import { prefixMatcher } from '../core/glob.ts';
import type { ModulePath } from '../core/module-path.ts';
import type { FetchEvent, Fetched, ModuleRequest, ModuleSource, SourceName } from '../core/ports.ts';
import { quote } from '../core/quote.ts';
import type { Resource } from '../core/resource.ts';
import type { StoredVersion } from '../core/store-port.ts';

export type SourcesOptions = {
  /** Patterns of modules that no proxy may hear of: GONOPROXY. */
  readonly noProxyPatterns: string;
  /** The sources of these modules, in order. Without any, these modules are refused. */
  readonly inside: readonly ModuleSource[];
  /** The sources of all other modules, in order; at least one. */
  readonly outside: readonly ModuleSource[];
  /** Modules with another source in the place of the last one outside. The first route that matches counts. */
  readonly routes?: readonly SourceRoute[];
};

export type SourceRoute = {
  readonly matches: (module: ModulePath) => boolean;
  readonly source: ModuleSource;
};

/** The source that an answer or an event came from. */
export type FromSource = { readonly source: SourceName };

/** An event of {@link ModuleSource.stream}; each `start` names the source. */
export type SourcedEvent =
  | (Extract<FetchEvent, { readonly kind: 'start' }> & FromSource)
  | Extract<FetchEvent, { readonly kind: 'bytes' }>;

export class Sources {
  readonly #options: SourcesOptions;
  readonly #isInside: (module: ModulePath) => boolean;
  readonly #routes: readonly (Pick<SourceRoute, 'matches'> & { readonly sources: readonly ModuleSource[] })[];

  constructor(options: SourcesOptions) {
    this.#options = options;
    const { noProxyPatterns, outside, routes = [] } = options;
    this.#routes = routes.map(({ matches, source }) => ({ matches, sources: outside.with(-1, source) }));
    this.#isInside = noProxyPatterns === '' ? () => false : prefixMatcher(noProxyPatterns);
  }

  /** The sources of a module, in order. @throws {Forbidden} no source may be asked for this module */
  of(resource: Resource): readonly ModuleSource[] {
    const { inside, outside } = this.#options;
    if (!this.#isInside(resource.module)) {
      return this.#routes.find(({ matches }) => matches(resource.module))?.sources ?? outside;
    }
    if (inside.length > 0) return inside;
    throw new Forbidden(
      `cannot give ${quote(resource.module)}: it may go to no upstream (GONOPROXY, GOPRIVATE or --private of the server), and Git is off here (--git off)`,
    );
  }

  /** The same sources but for those of one kind. */
  without(name: SourceName): Sources {
    const { inside, outside, ...rest } = this.#options;
    const others = (all: readonly ModuleSource[]) => all.filter((source) => source.name !== name);
    return new Sources({ ...rest, inside: others(inside), outside: others(outside) });
  }

  /** Whether the first source that is asked for this module is of that kind. */
  isFirst(name: SourceName, resource: Resource): boolean {
    return this.of(resource)[0]?.name === name;
  }

  /** Tells a source that a file of it was refused. */
  refused(name: SourceName, { resource, path }: Pick<ModuleRequest, 'resource' | 'path'>, why: string): void {
    for (const source of this.of(resource)) if (source.name === name) source.refused?.(path, why);
  }

  /** The versions of a module that sources know which need not ask the outside. One that fails knows none. */
  async versions(resource: Resource): Promise<StoredVersion[]> {
    const known = this.of(resource).map((source) => source.versions?.(resource.module) ?? []);
    const settled = await Promise.allSettled(known);
    return settled.flatMap((one) => (one.status === 'fulfilled' ? one.value : []));
  }

  /** The last source: its 404 is the answer. */
  decisive(resource: Resource): SourceName {
    return lastOf(this.of(resource)).name;
  }

  isDown(resource: Resource): boolean {
    return lastOf(this.of(resource)).isDown;
  }

  head(request: ModuleRequest): Promise<{ readonly size: number | undefined } & FromSource> {
    return this.#walk(request, (source) => source.head(request));
  }

  whole(request: ModuleRequest): Promise<Fetched & FromSource> {
    return this.#walk(request, (source) => source.whole(request));
  }

  /** A zip as it comes. All bytes come from the source that sent the first event. */
  async *stream(request: ModuleRequest): AsyncGenerator<SourcedEvent, void, void> {
    const begun = await this.#walk(request, async (source) => {
      const events = source.stream(request)[Symbol.asyncIterator]();
      return { events, first: await events.next() };
    });
    const { events, source } = begun;
    try {
      for (let next = begun.first; !next.done; next = await events.next()) {
        const event = next.value;
        yield event.kind === 'start' ? { ...event, source } : event;
      }
    } finally {
      await events.return?.();
    }
  }

  async #walk<T extends object>(
    { resource }: ModuleRequest,
    ask: (source: ModuleSource) => Promise<T>,
  ): Promise<T & FromSource> {
    const sources = this.of(resource);
    const last = lastOf(sources);
    for (const source of sources.slice(0, -1)) {
      try {
        return { ...(await ask(source)), source: source.name };
      } catch (error) {
        if (!isServeError(error)) throw error;
      }
    }
    return { ...(await ask(last)), source: last.name };
  }
}

function lastOf(sources: readonly ModuleSource[]): ModuleSource {
  const last = sources.at(-1);
  if (last === undefined) throw new Error('no source of modules is set');
  return last;
}
