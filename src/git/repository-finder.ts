/**
 * Finds the repository that a module path is in: by the mappings of `--git`, else by the path itself, else by what its host
 * says. Keeps the answers for a while.
 *
 * `go get` asks for each prefix of a package's path, at the same time. Most are no repositories: each is asked once.
 */

import { BadRequest, Forbidden, isServeError, messageOf, NotFound, UpstreamFailed } from '../core/errors.ts';
import { matchPrefixPatterns } from '../core/glob.ts';
import type { ModulePath } from '../core/module-path.ts';
import type { Clock } from '../core/ports.ts';
import { quote } from '../core/quote.ts';
import type { Discovery } from './discovery.ts';
import { knownRepository } from './known-hosts.ts';
import { GIT_NO_PLACE_MS, GIT_PLACE_MS, GIT_PLACES_MAX } from './limits.ts';
import { type Candidate, candidatesOf, type PathMapping } from './path-mapping.ts';
import { checkRepositoryUrl } from './repository-url.ts';

/** The place of a module: its repository, or (`mod`) a proxy that serves it. */
export type Place = {
  readonly vcs: 'git' | 'mod';
  /** The module path that the repository's root has. */
  readonly root: string;
  readonly url: string;
  /** The directory of `root` in the repository; mostly empty. */
  readonly directory: string;
};

export type RepositoryFinderOptions = {
  readonly mappings: readonly PathMapping[];
  readonly discovery: Discovery;
  readonly insecurePatterns: string;
  /** Resolves if there is a repository at the URL; else rejects, with NotFound if its server says that there is none. */
  readonly probe: (url: string) => Promise<unknown>;
  readonly clock: Clock;
};

type Kept = { readonly place: Promise<Place>; untilMs: number };

export class RepositoryFinder {
  readonly #options: RepositoryFinderOptions;
  readonly #kept = new Map<string, Kept>();
  /** URLs of `--git` that were found to be repositories: paths below them need no other probe. */
  readonly #roots = new Set<string>();

  constructor(options: RepositoryFinderOptions) {
    this.#options = options;
  }

  /**
   * The place of `path`; asks no two times at one moment.
   *
   * @throws {NotFound} there is none
   * @throws {ServeError} it could not be asked for
   */
  async find(path: ModulePath): Promise<Place> {
    const nowMs = this.#options.clock.monotonicMs();
    const kept = this.#kept.get(path);
    if (kept !== undefined && nowMs < kept.untilMs) return kept.place;
    const fresh: Kept = { place: this.#look(path), untilMs: nowMs + GIT_PLACE_MS };
    this.#kept.delete(path);
    this.#kept.set(path, fresh);
    this.#dropOldest();
    try {
      return await fresh.place;
    } catch (error) {
      // One `go get` asks several files of each path; a failure that may pass must not be remembered.
      if (error instanceof NotFound) fresh.untilMs = this.#options.clock.monotonicMs() + GIT_NO_PLACE_MS;
      else if (this.#kept.get(path) === fresh) this.#kept.delete(path);
      // A host that can't be asked now has not moved its repository.
      const old = error instanceof NotFound ? undefined : await kept?.place.catch(() => undefined);
      if (old !== undefined) return old;
      throw error;
    }
  }

  #dropOldest(): void {
    for (const path of this.#kept.keys()) {
      if (this.#kept.size <= GIT_PLACES_MAX) return;
      this.#kept.delete(path);
    }
  }

  async #look(path: ModulePath): Promise<Place> {
    const isInsecure = matchPrefixPatterns(this.#options.insecurePatterns, path);
    const mapped = candidatesOf(this.#options.mappings, path);
    if (mapped !== undefined) return await this.#ofMapping(path, mapped);
    const known = knownRepository(path, { isInsecure });
    if (known === undefined) return await this.#ofHost(path, isInsecure);
    const url = await this.#firstOf(known.urls);
    return { vcs: 'git', root: known.root, url, directory: '' };
  }

  async #ofMapping(path: ModulePath, candidates: readonly Candidate[]): Promise<Place> {
    const known = candidates.find(({ url }) => this.#roots.has(url));
    if (known !== undefined) return { vcs: 'git', directory: '', ...known };
    if (candidates.length === 0) throw new NotFound(`${quote(path)} is above the repositories of --git`);
    const found = await this.#firstAt(candidates);
    if (this.#roots.size >= GIT_PLACES_MAX) this.#roots.clear();
    this.#roots.add(found.url);
    return { vcs: 'git', directory: '', ...found };
  }

  /** The first that is a repository. A server that fails or refuses is asked for no other: it may lock the account. */
  async #firstAt(candidates: readonly Candidate[]): Promise<Candidate> {
    let missing: unknown;
    for (const candidate of candidates) {
      try {
        await this.#options.probe(candidate.url);
        return candidate;
      } catch (error) {
        if (!(error instanceof NotFound)) throw error;
        missing = error;
      }
    }
    throw missing;
  }

  /** The first of one repository's URLs, each of another protocol, that works; else the first one's failure. */
  async #firstOf(urls: readonly string[]): Promise<string> {
    let failure: unknown;
    for (const url of urls) {
      try {
        await this.#options.probe(url);
        return url;
      } catch (error) {
        if (!isServeError(error)) throw error;
        failure ??= error;
      }
    }
    throw failure;
  }

  async #ofHost(path: ModulePath, isInsecure: boolean): Promise<Place> {
    const { prefix, vcs, root, directory } = await this.#options.discovery.find(path);
    if (vcs !== 'git' && vcs !== 'mod')
      throw new NotFound(`${quote(prefix)} is a ${quote(vcs)} repository: Astera reads Git only`);
    try {
      checkRepositoryUrl(root, isInsecure ? 'insecure' : 'secure');
    } catch (error) {
      throw error instanceof BadRequest ? new Forbidden(messageOf(error), { cause: error }) : error;
    }
    if (/^[/-]/.test(directory) || directory.split('/').includes('..'))
      throw new UpstreamFailed(`the go-import tag of ${quote(prefix)} names no directory of a repository`);
    return { vcs, root: prefix, url: root, directory };
  }
}
