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
import { KeptAnswers } from './kept-answers.ts';
import { knownRepository } from './known-hosts.ts';
import { GIT_NO_PLACE_MS, GIT_PLACE_MS, GIT_PLACES_MAX } from './limits.ts';
import { LoginRefused } from './login-pauses.ts';
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
  /** Whether something was fetched from a URL once: a repository was there. */
  readonly isFetched: (url: string) => Promise<boolean>;
  readonly clock: Clock;
};

export class RepositoryFinder {
  readonly #options: RepositoryFinderOptions;
  readonly #places: KeptAnswers<Place>;
  /** By the URL: all paths that a repository may be the one of share the question whether it is there. */
  readonly #probes: KeptAnswers<true>;
  /** URLs of `--git` that were found to be repositories: paths below them need no other probe. */
  readonly #roots = new Set<string>();

  constructor(options: RepositoryFinderOptions) {
    this.#options = options;
    const kept = { clock: options.clock, missingMs: GIT_NO_PLACE_MS, keptMax: GIT_PLACES_MAX };
    this.#places = new KeptAnswers({ ...kept, keptMs: GIT_PLACE_MS });
    this.#probes = new KeptAnswers({ ...kept, keptMs: GIT_PLACE_MS });
  }

  /**
   * The place of `path`; asks no two times at one moment. A host that can't be asked now has not moved its repository.
   *
   * @throws {NotFound} there is none
   * @throws {ServeError} it could not be asked for
   */
  async find(path: ModulePath): Promise<Place> {
    return await this.#places.get(path, () => this.#look(path));
  }

  /** Forgets all places. */
  forget(): void {
    this.#places.clear();
    this.#probes.clear();
    this.#options.discovery.forget();
  }

  async #look(path: ModulePath): Promise<Place> {
    const isInsecure = matchPrefixPatterns(this.#options.insecurePatterns, path);
    const mapped = candidatesOf(this.#options.mappings, path);
    if (mapped !== undefined) return await this.#ofMapping(path, mapped);
    const known = knownRepository(path, { isInsecure });
    if (known === undefined) return await this.#ofHost(path, isInsecure);
    const fetched = await this.#fetched(known.urls.map((url) => ({ url })));
    const url = fetched?.url ?? (await this.#firstOf(known.urls));
    return { vcs: 'git', root: known.root, url, directory: '' };
  }

  /** The first that was fetched from, in an earlier process maybe: its server may be gone. */
  async #fetched<T extends { readonly url: string }>(places: readonly T[]): Promise<T | undefined> {
    for (const place of places) if (await this.#options.isFetched(place.url)) return place;
    return undefined;
  }

  async #ofMapping(path: ModulePath, candidates: readonly Candidate[]): Promise<Place> {
    const known = candidates.find(({ url }) => this.#roots.has(url));
    if (known !== undefined) return { vcs: 'git', directory: '', ...known };
    if (candidates.length === 0) throw new NotFound(`${quote(path)} is above the repositories of --git`);
    const found = (await this.#fetched(candidates)) ?? (await this.#firstAt(candidates));
    if (this.#roots.size >= GIT_PLACES_MAX) this.#roots.clear();
    this.#roots.add(found.url);
    return { vcs: 'git', directory: '', ...found };
  }

  /**
   * The first that is a repository. A server that fails or refuses is asked for no other: it may lock the account. Where
   * there is no login that could be refused, the next one may be public.
   */
  async #firstAt(candidates: readonly Candidate[]): Promise<Candidate> {
    let missing: unknown;
    let refused: LoginRefused | undefined;
    for (const candidate of candidates) {
      try {
        await this.#probe(candidate.url);
        return candidate;
      } catch (error) {
        if (error instanceof LoginRefused && error.isAnonymous) refused ??= error;
        else if (error instanceof NotFound) missing = error;
        else throw error;
      }
    }
    throw refused ?? missing;
  }

  async #probe(url: string): Promise<void> {
    await this.#probes.get(url, async () => {
      await this.#options.probe(url);
      return true;
    });
  }

  /** The first of one repository's URLs, each of another protocol, that works; else the first one's failure. */
  async #firstOf(urls: readonly string[]): Promise<string> {
    let failure: unknown;
    for (const url of urls) {
      try {
        await this.#probe(url);
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
