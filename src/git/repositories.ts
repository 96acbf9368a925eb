/** All repositories that this server reads, each under a directory of its own. */

import { createHash } from 'node:crypto';
import { access, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Forbidden } from '../core/errors.ts';
import type { Clock } from '../core/ports.ts';
import { urlIn } from './bare-repository.ts';
import type { BuildZip } from './build-zip.ts';
import { type CopyCounts, CopyKeeper } from './copy-keeper.ts';
import type { GitBounds } from './git-bounds.ts';
import type { Git } from './git-command.ts';
import { gitFailure } from './git-failure.ts';
import { KeptFiles } from './kept-files.ts';
import { GIT_REPOSITORIES_MAX } from './limits.ts';
import { type LoginPauses, serverOf } from './login-pauses.ts';
import { RemoteGit } from './remote-git.ts';
import { Repository } from './repository.ts';
import { protocolOf } from './repository-url.ts';
import { oneLine } from './words.ts';

export type RepositoriesOptions = {
  readonly git: Git;
  readonly buildZip: BuildZip;
  readonly pauses: LoginPauses;
  /** Whether Git has a login for a URL. */
  readonly hasLogin: (url: string) => Promise<boolean>;
  /** `--git-dir`: all repositories lie below it. */
  readonly directory: string;
  readonly bounds: GitBounds;
  /** Default GIT_REPOSITORIES_MAX. */
  readonly repositoriesMax?: number;
  readonly clock: Clock;
  readonly warn: (message: string) => void;
};

export class Repositories {
  readonly #options: RepositoriesOptions;
  readonly #repositories = new Map<string, Promise<Repository>>();
  /** Those that may still be at work. */
  readonly #dropped = new Map<string, WeakRef<Repository>>();
  readonly #kept = new KeptFiles();
  readonly #keeper: CopyKeeper;

  constructor(options: RepositoriesOptions) {
    this.#options = options;
    const { directory, bounds } = options;
    this.#keeper = new CopyKeeper({
      directory,
      bytesMax: bounds.copiesBytesMax,
      copiesIn: (name) => this.#copiesIn(name),
    });
  }

  /** What lies below `--git-dir`. */
  get copies(): CopyCounts {
    return this.#keeper.counts;
  }

  /** Tidies and bounds the copies now; else that is done a while after their use. */
  sweep(): Promise<void> {
    return this.#keeper.sweep();
  }

  /**
   * The repository at a URL that was checked; nothing is asked of its server yet.
   *
   * @throws {Forbidden} the server's own settings lead the URL to a protocol that runs programs
   */
  async at(url: string): Promise<Repository> {
    this.#keeper.use(nameOf(url));
    return await this.#at(url);
  }

  async #at(url: string): Promise<Repository> {
    const known = this.#repositories.get(url) ?? this.#heldElsewhere(url);
    if (known !== undefined) {
      // The last used stay.
      this.#repositories.delete(url);
      this.#repositories.set(url, known);
      return await known;
    }
    const opened = this.#open(url);
    this.#repositories.set(url, opened);
    this.#dropOldest();
    return await opened.catch((error: unknown) => {
      this.#repositories.delete(url);
      throw error;
    });
  }

  #dropOldest(): void {
    const { repositoriesMax = GIT_REPOSITORIES_MAX } = this.#options;
    const [oldest] = this.#repositories;
    if (oldest === undefined || this.#repositories.size <= repositoriesMax) return;
    const [url, repository] = oldest;
    this.#repositories.delete(url);
    for (const [other, ref] of this.#dropped) if (ref.deref() === undefined) this.#dropped.delete(other);
    void repository.then(
      (one) => this.#dropped.set(url, new WeakRef(one)),
      () => {},
    );
  }

  /** One that was dropped while a request held it: a second one would change the same copies at the same time. */
  #heldElsewhere(url: string): Promise<Repository> | undefined {
    const held = this.#dropped.get(url)?.deref();
    this.#dropped.delete(url);
    return held && Promise.resolve(held);
  }

  /** Whether there is a copy of the repository at a URL, by an earlier process too. */
  async isFetched(url: string): Promise<boolean> {
    return await access(join(this.#directoryOf(url), 'files')).then(
      () => true,
      () => false,
    );
  }

  #directoryOf(url: string): string {
    return join(this.#options.directory, nameOf(url));
  }

  /** The repository whose copies lie there: its URL stands in them. */
  async #copiesIn(name: string): Promise<Repository | undefined> {
    for (const copy of ['files', 'history']) {
      const config = await readFile(join(this.#options.directory, name, copy, 'config'), 'utf8').catch(
        () => '',
      );
      const url = urlIn(config);
      if (url !== undefined && nameOf(url) === name) return await this.#at(url).catch(() => undefined);
    }
    return undefined;
  }

  async #open(url: string): Promise<Repository> {
    const { git, pauses, hasLogin, bounds, clock, warn } = this.#options;
    const rewritten = await this.#rewritten(url);
    const protocols = new Set([protocolOf(url), protocolOf(rewritten)]);
    const allowed = [...protocols].filter((one) => one !== undefined);
    if (allowed.length < protocols.size)
      throw new Forbidden(
        `cannot read repository ${oneLine(url)}: insteadOf in Git's settings leads it to no URL`,
      );
    const isAnonymous = async () => !(await hasLogin(rewritten));
    const name = serverOf(rewritten);
    const remote = new RemoteGit({ git, pauses, target: { url, server: name, isAnonymous } });
    return new Repository({
      git: remote,
      buildZip: this.#options.buildZip,
      url,
      server: { name, protocols: allowed },
      bounds,
      directory: this.#directoryOf(url),
      kept: this.#kept,
      clock,
      warn,
    });
  }

  /** The URL that `insteadOf` of the server's own Git settings makes of it. */
  async #rewritten(url: string): Promise<string> {
    try {
      return (await this.#options.git.run(['ls-remote', '--get-url', '--end-of-options', url]))
        .toString()
        .trim();
    } catch (error) {
      throw gitFailure(error, url);
    }
  }
}

/** The name of a repository's directory. */
function nameOf(url: string): string {
  return createHash('sha256').update(url).digest('hex').slice(0, 32);
}
