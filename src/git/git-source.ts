/**
 * Git as a source of modules: each file of a module proxy, made out of the module's repository.
 *
 * Asks the repository's server each time for what may have changed: how long an answer is good, the proxy decides.
 */

import { BadRequest, NotFound, UpstreamFailed } from '../core/errors.ts';
import type { Clock, FetchEvent, Fetched, FetchRequest, ModuleRequest, ModuleSource } from '../core/ports.ts';
import { isPseudoVersion } from '../core/pseudo-version.ts';
import { isImmutable, type Resource } from '../core/resource.ts';
import { GIT_REFS_KEPT_MS } from './limits.ts';
import { type ModulePlace, placeOf } from './module-place.ts';
import type { ModuleProxies, ModuleProxyPlace } from './module-proxies.ts';
import { type ModuleInfo, ModuleReader } from './module-reader.ts';
import { moduleZip } from './module-zip.ts';
import type { Repositories } from './repositories.ts';
import type { Repository } from './repository.ts';
import type { Place, RepositoryFinder } from './repository-finder.ts';
import { oneLine } from './words.ts';

export type GitSourceOptions = {
  readonly finder: RepositoryFinder;
  readonly repositories: Repositories;
  readonly proxies: ModuleProxies;
  readonly clock: Clock;
  /** Lists, branches and the latest version may be of refs that are so old. */
  readonly refsFreshMs: number;
};

/** The repository of a module, and when it was asked for, in monotonic time. */
type FoundPlace = Place & { readonly askedMs: number };

export class GitSource implements ModuleSource {
  readonly name = 'git';
  /** Each repository has a server of its own: one that is down says nothing of the others. */
  readonly isDown = false;
  readonly #options: GitSourceOptions;

  constructor(options: GitSourceOptions) {
    this.#options = options;
  }

  /** The size of a zip is not known before it is made; of the other files it is. */
  async head(
    request: ModuleRequest,
  ): Promise<{ readonly size: number | undefined; readonly upstream: string }> {
    const { resource } = request;
    const place = await this.#find(resource);
    if ('upstream' in place) return await place.upstream.head(below(place, request));
    if (resource.kind !== 'zip') {
      const { bytes, upstream } = await this.whole(request);
      return { size: bytes.length, upstream };
    }
    const { version } = resource;
    const { upstream } = await this.#ask(place, resource, ({ reader }) => reader.source(version));
    return { size: undefined, upstream };
  }

  /** A list, an info or a go.mod file. */
  async whole(request: ModuleRequest): Promise<Fetched> {
    const { resource, bytesMax } = request;
    const place = await this.#find(resource);
    if ('upstream' in place) return await place.upstream.whole(below(place, request));
    const { value: bytes, upstream } = await this.#ask(place, resource, ({ reader }) =>
      answer(reader, resource),
    );
    if (bytes.length > bytesMax) throw new UpstreamFailed(`${upstream}: more than ${bytesMax} bytes`);
    return { bytes, upstream };
  }

  /** A zip as it is made; it begins at its start again, whatever is here already. */
  async *stream(request: ModuleRequest): AsyncGenerator<FetchEvent, void, void> {
    const { resource, bytesMax } = request;
    if (resource.kind !== 'zip') throw new BadRequest('not a zip');
    const { version } = resource;
    const place = await this.#find(resource);
    if ('upstream' in place) {
      yield* place.upstream.stream(below(place, request));
      return;
    }
    const { value, upstream } = await this.#ask(place, resource, async (module) => {
      const zip = moduleZip({ ...module, version });
      return { zip, first: await zip.next() };
    });
    const { zip, first } = value;
    try {
      yield { kind: 'start', offset: 0, size: undefined, validator: {}, upstream };
      let bytes = 0;
      for (let next = first; !next.done; next = await zip.next()) {
        bytes += next.value.length;
        if (bytes > bytesMax) throw new UpstreamFailed(`${upstream}: more than ${bytesMax} bytes`);
        yield { kind: 'bytes', bytes: next.value };
      }
    } finally {
      await zip.return();
    }
  }

  /** The repository that a module is in, or the proxy that serves it. */
  async #find({ module }: Resource): Promise<FoundPlace | ModuleProxyPlace> {
    // Before the repository is found, as that lists its refs.
    const askedMs = this.#options.clock.monotonicMs();
    const place = await this.#options.finder.find(module);
    return place.vcs === 'mod' ? await this.#options.proxies.at(place.url) : { ...place, askedMs };
  }

  /** Does `work` with the module's reader. What is missing in refs that are old is looked for once more. */
  async #ask<T>(
    found: FoundPlace,
    resource: Resource,
    work: (module: { reader: ModuleReader; repository: Repository; place: ModulePlace }) => Promise<T>,
  ): Promise<{ value: T; upstream: string }> {
    const { askedMs } = found;
    const place = placeOf(resource.module, found);
    const repository = await this.#options.repositories.at(found.url);
    const upstream = oneLine(found.url);
    const read = async (sinceMs: number) => {
      const reader = new ModuleReader({ repository, place, sinceMs });
      return { value: await work({ reader, repository, place }), upstream };
    };
    const keptMs = isImmutable(resource) ? GIT_REFS_KEPT_MS : this.#options.refsFreshMs;
    try {
      return await read(askedMs - keptMs);
    } catch (error) {
      if (!(error instanceof NotFound) || !repository.hasOldRefs(askedMs)) throw error;
      return await read(askedMs);
    }
  }
}

/** The same request to a proxy whose root is above the module's. */
function below({ prefix }: ModuleProxyPlace, request: ModuleRequest): FetchRequest {
  return { ...request, path: prefix + request.path };
}

async function answer(reader: ModuleReader, resource: Resource): Promise<Buffer> {
  switch (resource.kind) {
    case 'list':
      return Buffer.from((await reader.versions()).map((version) => `${version}\n`).join(''));
    case 'latest':
      return infoFile(await reader.latest());
    case 'query':
      return infoFile(await reader.info(resource.query));
    case 'info':
      return infoFile(settledInfo(await reader.info(resource.version)));
    case 'mod':
      return await reader.goMod(resource.version);
    case 'zip':
      throw new BadRequest('a zip is no small file');
  }
}

/** Without what a version does not depend on: which tags there are, and what led to a pseudo-version's commit. */
function settledInfo(info: ModuleInfo): ModuleInfo {
  const { TagPrefix, TagSum, Ref, ...origin } = info.origin;
  const isNamed = Ref !== undefined && !isPseudoVersion(info.version);
  return { ...info, origin: isNamed ? { ...origin, Ref } : origin };
}

/** The `.info` file, as the `go` command writes it. */
function infoFile({ version, time, origin }: ModuleInfo): Buffer {
  const Time = time.toISOString().replace(/\.\d+Z$/, 'Z');
  return Buffer.from(JSON.stringify({ Version: version, Time, Origin: origin }));
}
