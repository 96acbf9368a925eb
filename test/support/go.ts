/**
 * The real `go` command, as a client that has nothing: its own module cache, GOPATH and project.
 *
 * Everything lies in one temporary directory that `dispose` removes.
 */

import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Project, projectDirectory } from './corpus.ts';

export type GoResult = { readonly code: number; readonly stdout: string; readonly stderr: string };

/** What a command leaves behind in its project. */
export type ModuleFiles = { readonly mod: string; readonly sum: string };

export class GoClient {
  /** Holds everything this client has: `project/`, `modcache/`, `path/`, `build/`. */
  readonly directory: string;
  readonly #proxy: string;
  readonly #build: string;
  readonly #sumdb: string;
  readonly #env: Readonly<Record<string, string>>;

  /**
   * A client whose GOPROXY is `proxy` and nothing else, in an empty project.
   *
   * @param options `sumdb`: its GOSUMDB, by default it checks no checksums; `build`: a build cache to share;
   * `env`: variables that win over all of this
   */
  static async create(
    proxy: string,
    options: { sumdb?: string; build?: string; env?: Readonly<Record<string, string>> } = {},
  ): Promise<GoClient> {
    const directory = await mkdtemp(join(tmpdir(), 'astera-go-'));
    const { sumdb = 'off', build = join(directory, 'build'), env = {} } = options;
    const client = new GoClient({ directory, proxy, sumdb, build, env });
    await cp(join(import.meta.dirname, '../projects/empty'), client.project, { recursive: true });
    return client;
  }

  private constructor(parts: {
    directory: string;
    proxy: string;
    sumdb: string;
    build: string;
    env: Readonly<Record<string, string>>;
  }) {
    this.directory = parts.directory;
    this.#proxy = parts.proxy;
    this.#sumdb = parts.sumdb;
    this.#build = parts.build;
    this.#env = parts.env;
  }

  get project(): string {
    return join(this.directory, 'project');
  }

  /** Makes `project` this client's: whole, or with nothing but its `import` lines. */
  async take(project: Project, what: 'whole' | 'imports'): Promise<void> {
    await cp(projectDirectory(project), this.project, { recursive: true });
    if (what === 'whole') return;
    await rm(join(this.project, 'go.sum'));
    await writeFile(join(this.project, 'go.mod'), `module example.com/${project}\n\ngo 1.26\n`);
  }

  /** Runs `go` in the project. Never throws for a failing command. */
  run(...args: readonly string[]): Promise<GoResult> {
    return new Promise((resolve) => {
      const options = { cwd: this.project, env: this.#environment(), maxBuffer: 64 * 1024 * 1024 };
      execFile('go', args, options, (error, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === 'number' ? error.code : 1;
        resolve({ code, stdout, stderr });
      });
    });
  }

  /** go.mod and go.sum as they are now; a missing go.sum is empty. */
  async moduleFiles(): Promise<ModuleFiles> {
    const sum = await readFile(join(this.project, 'go.sum'), 'utf8').catch(() => '');
    return { mod: await readFile(join(this.project, 'go.mod'), 'utf8'), sum };
  }

  /** Forgets every module it has; the project stays as it is. */
  async emptyModuleCache(): Promise<void> {
    const old = join(this.directory, 'old');
    await rename(join(this.directory, 'modcache'), old).catch(() => {});
    await removeTree(old);
  }

  dispose(): Promise<void> {
    return removeTree(this.directory);
  }

  #environment(): NodeJS.ProcessEnv {
    const { PATH, HOME, TMPDIR } = process.env;
    return {
      ...{ PATH, HOME, TMPDIR },
      GOENV: 'off',
      GOPROXY: this.#proxy,
      GOSUMDB: this.#sumdb,
      GOTOOLCHAIN: 'local',
      GOFLAGS: '-modcacherw',
      GOMODCACHE: join(this.directory, 'modcache'),
      GOPATH: join(this.directory, 'path'),
      GOCACHE: this.#build,
      GIT_TERMINAL_PROMPT: '0',
      ...this.#env,
    };
  }
}

/** `rm -rf`: several times as fast as Node's for a tree of 50,000 files. */
async function removeTree(directory: string): Promise<void> {
  await once(spawn('rm', ['-rf', directory], { stdio: 'ignore' }), 'exit');
}
