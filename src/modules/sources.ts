/**
 * The sources of modules in their order, as one.
 *
 *     private   Git                  no proxy ever hears of it
 *     public    bucket, upstreams
 *
 * An earlier source only saves the way to the last one: whatever it fails with, the next one is asked. The last one
 * decides, so that its 404 is the answer and its failure the client's error.
 */

import { Forbidden, isServeError } from '../core/errors.ts';
import { matchPrefixPatterns } from '../core/glob.ts';
import type { FetchEvent, Fetched, ModuleRequest, ModuleSource, SourceName } from '../core/ports.ts';
import type { Resource } from '../core/resource.ts';

export type SourcesOptions = {
  /** Patterns of modules that no proxy may hear of: GONOPROXY. */
  readonly noProxyPatterns: string;
  /** For these modules, in order; none: they can't be had. */
  readonly inside: readonly ModuleSource[];
  /** For all others, in order; at least one. */
  readonly outside: readonly ModuleSource[];
};

/** The source that gave something. */
export type FromSource = { readonly source: SourceName };

/** The events of {@link ModuleSource.stream}; the first of each beginning names the source. */
export type SourcedEvent =
  | (Extract<FetchEvent, { readonly kind: 'start' }> & FromSource)
  | Extract<FetchEvent, { readonly kind: 'bytes' }>;

export class Sources {
  readonly #options: SourcesOptions;

  constructor(options: SourcesOptions) {
    this.#options = options;
  }

  /** @throws {Forbidden} no source may be asked for this module */
  of(resource: Resource): readonly ModuleSource[] {
    const { noProxyPatterns, inside, outside } = this.#options;
    if (!matchPrefixPatterns(noProxyPatterns, resource.module)) return outside;
    if (inside.length > 0) return inside;
    throw new Forbidden(
      `cannot give ${JSON.stringify(resource.module)}: it may go to no upstream (GONOPROXY, GOPRIVATE or --private of the server), and this Astera does not fetch from Git`,
    );
  }

  /** The source whose 404 counts. */
  decisive(resource: Resource): SourceName {
    return this.#last(resource).name;
  }

  isDown(resource: Resource): boolean {
    return this.#last(resource).isDown;
  }

  head(request: ModuleRequest): Promise<{ readonly size: number | undefined } & FromSource> {
    return this.#walk(request, (source) => source.head(request));
  }

  whole(request: ModuleRequest): Promise<Fetched & FromSource> {
    return this.#walk(request, (source) => source.whole(request));
  }

  /** All bytes come from the source that gave the first of them. */
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

  #last(resource: Resource): ModuleSource {
    const last = this.of(resource).at(-1);
    if (last === undefined) throw new Error('no source of modules is set');
    return last;
  }

  async #walk<T extends object>(
    { resource }: ModuleRequest,
    ask: (source: ModuleSource) => Promise<T>,
  ): Promise<T & FromSource> {
    const last = this.#last(resource);
    for (const source of this.of(resource)) {
      if (source === last) break;
      try {
        return { ...(await ask(source)), source: source.name };
      } catch (error) {
        if (!isServeError(error)) throw error;
      }
    }
    return { ...(await ask(last)), source: last.name };
  }
}
