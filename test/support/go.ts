/**
 * The real `go` command, as a client that has nothing: its own module cache, GOPATH and project.
 *
 * Everything lies in one temporary directory that `dispose` removes.
 */

import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Project, projectDirectory } from './corpus.ts';

export type GoResult = { readonly code: number; readonly stdout: string; readonly stderr: string };

/** What a command leaves behind in its project. */
export type ModuleFiles = { readonly mod: string; readonly sum: string };

export type GoOptions = {
  /** Its GOSUMDB; by default it checks no checksums. */
  readonly sumdb?: string;
  /** A build cache to share; by default it has its own. */
  readonly build?: string;
  /** Variables that win over all of this. */
  readonly env?: Readonly<Record<string, string>>;
  /** Where its directory is made; by default among the temporary ones. */
  readonly under?: string;
  /** 19: its commands take only what other processes leave. By default 0. */
  readonly niceness?: number;
};

export class GoClient {
  /** Holds everything this client has: `project/`, `modcache/`, `path/`, `build/`. */
  readonly directory: string;
  readonly #proxy: string;
  readonly #build: string;
  readonly #sumdb: string;
  readonly #env: Readonly<Record<string, string>>;
  readonly #niceness: number;

  /** A client whose GOPROXY is `proxy` and nothing else, in an empty project. */
  static async create(proxy: string, options: GoOptions = {}): Promise<GoClient> {
    const directory = await mkdtemp(join(options.under ?? tmpdir(), 'astera-go-'));
    const { sumdb = 'off', build = join(directory, 'build'), env = {}, niceness = 0 } = options;
    const client = new GoClient({ directory, proxy, sumdb, build, env, niceness });
    await cp(join(import.meta.dirname, '../projects/empty'), client.project, { recursive: true });
    return client;
  }

  private constructor(parts: { directory: string; proxy: string } & Required<Omit<GoOptions, 'under'>>) {
    this.directory = parts.directory;
    this.#proxy = parts.proxy;
    this.#sumdb = parts.sumdb;
    this.#niceness = parts.niceness;
    this.#build = parts.build;
    this.#env = parts.env;
  }

  get project(): string {
    return join(this.directory, 'project');
  }

  /** Makes `project` this client's: whole, or with nothing but its `import` lines. */
  async take(project: Project, what: 'whole' | 'imports'): Promise<void> {
    await this.takeFrom(projectDirectory(project));
    if (what === 'whole') return;
    await rm(join(this.project, 'go.sum'));
    await writeFile(join(this.project, 'go.mod'), `module example.com/${project}\n\ngo 1.26\n`);
  }

  /** Makes a copy of the project in `directory` this client's. */
  takeFrom(directory: string): Promise<void> {
    return cp(directory, this.project, { recursive: true });
  }

  /** Runs `go` in the project. Never throws for a failing command. */
  run(...args: readonly string[]): Promise<GoResult> {
    return this.runProgram('go', ...args);
  }

  /** The same of a program that runs `go` itself, such as a linter. */
  runProgram(program: string, ...args: readonly string[]): Promise<GoResult> {
    return new Promise((resolve) => {
      const options = { cwd: this.project, env: this.#environment(), maxBuffer: 64 * 1024 * 1024 };
      const nice = ['-n', String(this.#niceness), program, ...args];
      execFile('nice', nice, options, (error, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === 'number' ? error.code : 1;
        resolve({ code, stdout, stderr });
      });
    });
  }

  /** Starts `go` in the project, its output thrown away, for the caller to end or to wait for. */
  start(...args: readonly string[]): ChildProcess {
    return spawn('go', args, { cwd: this.project, env: this.#environment(), stdio: 'ignore' });
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
