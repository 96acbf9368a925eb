/**
 * Asks the host of a module path where its repository is: `https://host/path?go-get=1`.
 *
 * Only hosts of private paths are asked, with the credentials that Git would send: to a request without them GitLab names
 * the wrong repository for a project in a subgroup. HTTP itself is handed in.
 *
 * Follows repoRootForImportDynamic and metaImportsForPrefix of cmd/go/internal/vcs/vcs.go.
 */

import {
  Busy,
  Forbidden,
  isServeError,
  messageOf,
  NotFound,
  UpstreamDown,
  UpstreamFailed,
} from '../core/errors.ts';
import { Gate } from '../core/gate.ts';
import { matchPrefixPatterns } from '../core/glob.ts';
import { UPSTREAM_REDIRECTS_MAX } from '../core/limits.ts';
import { type ModulePath, parseModulePath } from '../core/module-path.ts';
import type { Clock, PageAnswer, PageGet } from '../core/ports.ts';
import { quote } from '../core/quote.ts';
import { type GoImport, matchGoImport, parseGoImports } from './go-import-tags.ts';
import { KeptAnswers } from './kept-answers.ts';
import {
  GIT_NO_PLACE_MS,
  GIT_QUEUE_MAX,
  GO_IMPORT_PAGE_BYTES_MAX,
  GO_IMPORT_PAGES_MAX,
  GO_IMPORT_REQUESTS_MAX,
} from './limits.ts';
import { type LoginPauses, LoginRefused, serverOf } from './login-pauses.ts';
import { oneLine } from './words.ts';

export type DiscoveryOptions = {
  readonly get: PageGet;
  /** The headers that Git would send to a URL. */
  readonly headersFor: (url: string) => Promise<Readonly<Record<string, string>>>;
  readonly pauses: LoginPauses;
  readonly clock: Clock;
  /** `--private`: only these paths are asked for, and redirects are followed only to them and within a host. */
  readonly privatePatterns: string;
  /** `--insecure`: these may be asked over http where https does not answer. */
  readonly insecurePatterns: string;
};

export class Discovery {
  readonly #options: DiscoveryOptions;
  /** Its pages are asked for by several paths of one `go get`: by its prefixes, and by the longer paths that they confirm. */
  readonly #pages: KeptAnswers<readonly GoImport[]>;
  readonly #gate = new Gate({
    placesMax: GO_IMPORT_REQUESTS_MAX,
    queueMax: GIT_QUEUE_MAX,
    full: 'cannot ask for a go-import tag: too many requests wait for one',
  });

  constructor(options: DiscoveryOptions) {
    this.#options = options;
    const { clock } = options;
    const missingMs = GIT_NO_PLACE_MS;
    this.#pages = new KeptAnswers({ clock, keptMs: missingMs, missingMs, keptMax: GO_IMPORT_PAGES_MAX });
  }

  /** Forgets what hosts said. */
  forget(): void {
    this.#pages.clear();
  }

  /**
   * The tag that says where `path` is. A tag of a shorter prefix counts only if that prefix's own page says the same.
   *
   * @throws {NotFound} the host answered, and no tag is for this path
   * @throws {UpstreamDown | UpstreamFailed | Forbidden | Busy} it did not answer, or with an error
   */
  async find(path: ModulePath): Promise<GoImport> {
    const found = await this.#ask(path, path);
    if (found.prefix === path) return found;
    const confirmed = await this.#ask(parsePrefix(found.prefix), path);
    if (JSON.stringify(confirmed) === JSON.stringify(found)) return found;
    throw new NotFound(
      `the pages of ${quote(path)} and ${quote(found.prefix)} disagree about its repository`,
    );
  }

  /** The tag for `path` on the page of `asked`, which is a prefix of it. */
  async #ask(asked: ModulePath, path: ModulePath): Promise<GoImport> {
    const isInsecure = matchPrefixPatterns(this.#options.insecurePatterns, asked);
    const url = (scheme: string) => `${scheme}://${asked.includes('/') ? asked : `${asked}/`}?go-get=1`;
    try {
      return await this.#page(url('https'), path);
    } catch (error) {
      if (!isInsecure || error instanceof NotFound) throw error;
      return await this.#page(url('http'), path);
    }
  }

  async #page(url: string, path: ModulePath): Promise<GoImport> {
    const imports = await this.#pages.get(url, async () => {
      const answer = await this.#follow(url, path);
      const tags = importsIn(answer);
      const failure = tags.length > 0 ? undefined : statusError(url, answer.status);
      if (failure !== undefined) throw failure;
      return tags;
    });
    const match = matchGoImport(imports, path);
    if (match === 'several') throw new NotFound(`${url}: several go-import tags are for ${quote(path)}`);
    if (match !== undefined) return match;
    throw noTag(url, path);
  }

  async #follow(start: string, path: ModulePath): Promise<PageAnswer> {
    let url = start;
    for (let step = 0; step <= UPSTREAM_REDIRECTS_MAX; step++) {
      const answer = await this.#get(url);
      if (answer.status < 300 || answer.status > 399 || answer.location === undefined) return answer;
      url = this.#next(url, answer.location, path);
    }
    throw new UpstreamFailed(`${start}: more than ${UPSTREAM_REDIRECTS_MAX} redirects`);
  }

  #get(url: string): Promise<PageAnswer> {
    return this.#gate.run(() => this.#askOne(url));
  }

  async #askOne(url: string): Promise<PageAnswer> {
    const { headersFor, get, pauses } = this.#options;
    try {
      const headers = await headersFor(url);
      const isAnonymous = Object.keys(headers).length === 0;
      const target = { url, server: serverOf(url), isAnonymous: async () => isAnonymous };
      return await pauses.ask(target, async () => {
        const answer = await get({ url, headers, bytesMax: GO_IMPORT_PAGE_BYTES_MAX });
        // An anonymous question is answered below, like one that was let in.
        if (answer.status === 401 && !isAnonymous && importsIn(answer).length === 0)
          throw refusedLogin(url, false);
        return answer;
      });
    } catch (error) {
      if (isServeError(error)) throw error;
      const why = oneLine(messageOf(error));
      throw new UpstreamDown(`cannot ask ${url}: ${why}; if it has no such pages, set --git for it`, {
        cause: error,
      });
    }
  }

  /** The URL of a redirect. A private path is told to no other host than those of private paths. */
  #next(from: string, location: string, path: ModulePath): string {
    const next = URL.parse(location, from);
    const last = new URL(from);
    const isSecure = next?.protocol === 'https:' || (next?.protocol === 'http:' && last.protocol === 'http:');
    if (next === null || !isSecure || next.username !== '' || next.password !== '')
      throw new UpstreamFailed(`${from}: a redirect that is not followed: ${oneLine(location)}`);
    if (next.host !== last.host && !this.#isPrivate(next))
      throw new NotFound(
        `${from} sends ${quote(path)} to ${next.host}, which no private pattern names (--private)`,
      );
    return next.href;
  }

  #isPrivate({ hostname, pathname }: URL): boolean {
    try {
      const path = parseModulePath(`${hostname}${pathname}`.replace(/\/+$/, ''));
      return matchPrefixPatterns(this.#options.privatePatterns, path);
    } catch {
      return false;
    }
  }
}

function importsIn({ body }: PageAnswer): readonly GoImport[] {
  return parseGoImports(new TextDecoder().decode(body));
}

function refusedLogin(url: string, isAnonymous: boolean): LoginRefused {
  const what = isAnonymous ? 'it wants a login: put one' : 'it refuses the login: mend it';
  return new LoginRefused(
    `${url}: 401; ${what} in ~/.netrc or a credential helper of the user that Astera runs as`,
    { isAnonymous },
  );
}

/** @throws {NotFound} a tag with a prefix that is no path */
function parsePrefix(prefix: string): ModulePath {
  try {
    return parseModulePath(prefix);
  } catch (error) {
    throw new NotFound(`a go-import tag for ${messageOf(error)}`, { cause: error });
  }
}

function noTag(url: string, path: ModulePath): NotFound {
  return new NotFound(
    `${url} has no go-import tag for ${quote(path)}; if its server has none at all, set --git for it`,
  );
}

/** Undefined for 200: the page is there, without a tag. */
function statusError(url: string, status: number): Error | undefined {
  if (status === 200) return undefined;
  if (status === 404 || status === 410) return new NotFound(`${url}: ${status}`);
  if (status === 401) return refusedLogin(url, true);
  if (status === 403)
    return new Forbidden(`${url}: 403; give the login that Astera has the right to read it`);
  if (status === 429 || status === 503) return new Busy(`${url}: ${status}`);
  return new UpstreamFailed(`${url}: ${status}`);
}
