/** Joins the parts of this room: settings in, a source of modules out. */

import { netrcPath } from '../core/netrc.ts';
import type { Clock, ModuleSource, PageGet, Upstream } from '../core/ports.ts';
import type { BuildZip } from './build-zip.ts';
import type { CopyCounts } from './copy-keeper.ts';
import { Discovery } from './discovery.ts';
import { GIT_BOUNDS, type GitBounds } from './git-bounds.ts';
import { checkGit } from './git-check.ts';
import { GitCommand } from './git-command.ts';
import { GitCredentials } from './git-credentials.ts';
import type { Environment } from './git-environment.ts';
import { GitSource } from './git-source.ts';
import { GIT_REFS_FRESH_MS, GIT_REFS_KEPT_MS } from './limits.ts';
import { LoginPauses } from './login-pauses.ts';
import { ModuleProxies } from './module-proxies.ts';
import { parsePathMappings } from './path-mapping.ts';
import { Repositories } from './repositories.ts';
import { RepositoryFinder } from './repository-finder.ts';

export type GitSourceSettings = {
  /** `--git`. */
  readonly mappings: string;
  /** `--git-dir`: the repositories' copies lie below it. It is made when it is needed. */
  readonly directory: string;
  readonly insecurePatterns: string;
  readonly privatePatterns: string;
  /** The server's own: `git` gets what it needs of it. */
  readonly environment: Environment;
  readonly clock: Clock;
  /** How long the proxy keeps a list. Refs of a repository are asked for again after that, or after GIT_REFS_FRESH_MS. */
  readonly listTtlMs: number;
  /** One line worth a log entry. */
  readonly warn: (message: string) => void;
  readonly get: PageGet;
  /** Makes zips, in another thread. */
  readonly buildZip: BuildZip;
  /** The module proxy at an origin, whose URL may have a login, for hosts that name one. */
  readonly openProxy: (origin: string) => Upstream;
  /** Default GIT_BOUNDS. */
  readonly bounds?: GitBounds;
};

/** Private modules out of Git. */
export type GitModules = {
  readonly source: ModuleSource;
  /** Has all asked anew that was refused or not found. */
  retry(): void;
  /** The copies of repositories, as they were at the last look. */
  readonly copies: () => CopyCounts;
  /** Tidies and bounds the copies now. */
  sweep(): Promise<void>;
  /** One line for each thing that Git lacks on this machine. */
  check(): Promise<string[]>;
};

/** @throws {BadRequest} a malformed mapping */
export function createGitSource(settings: GitSourceSettings): GitModules {
  const { mappings, directory, insecurePatterns, privatePatterns, environment, clock, warn, get, buildZip } =
    settings;
  const git = new GitCommand({ environment });
  const pauses = new LoginPauses(clock);
  const { bounds = GIT_BOUNDS } = settings;
  const credentials = new GitCredentials({ git, netrcPath: netrcPath(environment) });
  const hasLogin = (url: string) => credentials.has(url);
  const repositories = new Repositories({ git, buildZip, pauses, hasLogin, directory, bounds, clock, warn });
  const finder = new RepositoryFinder({
    mappings: parsePathMappings(mappings),
    discovery: new Discovery({
      get,
      headersFor: (url) => credentials.headersFor(url),
      pauses,
      clock,
      privatePatterns,
      insecurePatterns,
    }),
    insecurePatterns,
    isFetched: (url) => repositories.isFetched(url),
    probe: async (url) => (await repositories.at(url)).refs(clock.monotonicMs() - GIT_REFS_KEPT_MS),
    clock,
  });
  const proxies = new ModuleProxies({
    open: settings.openProxy,
    loginFor: (url) => credentials.loginFor(url),
  });
  const refsFreshMs = Math.min(settings.listTtlMs, GIT_REFS_FRESH_MS);
  const source = new GitSource({ finder, repositories, proxies, clock, refsFreshMs });
  const retry = () => {
    pauses.clear();
    finder.forget();
  };
  const check = () => checkGit({ git, directory, home: environment.HOME });
  const copies = () => repositories.copies;
  const sweep = () => repositories.sweep();
  return { source, retry, check, copies, sweep };
}
