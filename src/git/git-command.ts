/**
 * Runs `git`, the only program of this room: no word of a command is read by a shell, in a clean environment, in a process
 * group of its own that can be ended as a whole, with bounds on its time and on what it writes.
 *
 * Knows no repository and no module. What a failure means to a client, `git-failure.ts` says.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { statSync } from 'node:fs';
import type { Readable } from 'node:stream';
import { collect } from '../core/collect.ts';
import { Gate } from '../core/gate.ts';
import { type Environment, gitEnvironment, gitSettings, type Protocol } from './git-environment.ts';
import {
  GIT_LOCAL_MS,
  GIT_OUTPUT_BYTES_MAX,
  GIT_PROCESSES_MAX,
  GIT_QUEUE_MAX,
  GIT_WORDS_BYTES_MAX,
} from './limits.ts';
import { ServerGates, type ServerGatesOptions } from './server-gates.ts';
import { oneLine } from './words.ts';

/** The end of a `git` process that did not do its work. Never leaves this room. */
export class GitFailed extends Error {
  override readonly name = 'GitFailed';
  /** `gone`: the repository's directory is not there. `missing`: the program is not. */
  readonly reason: 'exit' | 'timeout' | 'too-long' | 'missing' | 'gone';
  /** Undefined where it was ended by a signal or never started. */
  readonly exitCode: number | undefined;
  /** Its own words on stderr: hostile, and with credentials where it has them. */
  readonly words: string;
  /** It asked a server. Else it stayed on the disk, and no server is to blame. */
  readonly isOutside: boolean;

  constructor(
    message: string,
    {
      reason,
      exitCode,
      words = '',
      isOutside = false,
    }: Pick<GitFailed, 'reason'> & { exitCode?: number | undefined; words?: string; isOutside?: boolean },
  ) {
    super(message);
    this.reason = reason;
    this.exitCode = exitCode;
    this.words = words;
    this.isOutside = isOutside;
  }
}

/** A server, and the ways to it. */
export type GitServer = {
  /** Its host and port, to count what is under way at it. */
  readonly name: string;
  readonly protocols: readonly Protocol[];
};

export type GitRun = {
  /** The repository's directory; undefined for a command without one. */
  readonly gitDir?: string;
  /** The server that it asks; undefined for a command that stays on the disk. */
  readonly server?: GitServer;
  /** Git's settings say how ssh is run (`core.sshCommand`): no variable hides that. */
  readonly hasOwnSsh?: boolean;
  /** Default GIT_LOCAL_MS. */
  readonly timeoutMs?: number;
  /** Of stdout; default GIT_OUTPUT_BYTES_MAX. */
  readonly bytesMax?: number;
  readonly input?: string;
  /** More settings, as `name=value`. */
  readonly settings?: readonly string[];
  readonly signal?: AbortSignal;
  /** It may take long, and whatever else there is to do comes first. */
  readonly isBackground?: boolean;
  /** Told of the process group, whose id this is, when it is there. */
  readonly onStarted?: (processGroup: number) => void;
};

/** What runs `git`. */
export type Git = Pick<GitCommand, 'run' | 'stream' | 'elsewhere'>;

export type GitCommandOptions = {
  readonly environment: Environment;
  /** Default GIT_PROCESSES_MAX. */
  readonly processesMax?: number;
} & ServerGatesOptions;

export class GitCommand {
  readonly #environment: Environment;
  readonly #gate: Gate;
  readonly #servers: ServerGates;

  constructor({ environment, processesMax = GIT_PROCESSES_MAX, ...servers }: GitCommandOptions) {
    this.#environment = environment;
    this.#servers = new ServerGates(servers);
    this.#gate = new Gate({
      placesMax: processesMax,
      queueMax: GIT_QUEUE_MAX,
      full: 'cannot ask Git: too many requests wait for it',
    });
  }

  /**
   * The output of `git` with `args`. Arguments from outside stand behind `--end-of-options` or `--`, which the caller puts.
   *
   * @throws {GitFailed} it ended with an error, took too long or wrote too much
   * @throws {Busy} too many wait for their turn
   */
  async run(args: readonly string[], run: GitRun = {}): Promise<Buffer> {
    const { bytesMax = GIT_OUTPUT_BYTES_MAX } = run;
    const output = await collect(this.stream(args, run), bytesMax);
    if (output !== undefined) return output;
    throw new GitFailed(`git ${args[0]} wrote more than ${bytesMax} bytes`, {
      reason: 'too-long',
      isOutside: isOutside(run),
    });
  }

  /**
   * The output of `git` as it comes. Ends cleanly only when `git` does; leaving it early ends the process group.
   *
   * @throws as {@link run}, but for the bound on the output, which is the caller's
   */
  async *stream(args: readonly string[], run: GitRun = {}): AsyncGenerator<Buffer, void, void> {
    const { timeoutMs = GIT_LOCAL_MS, signal = new AbortController().signal } = run;
    const leave = await this.#enter(run, signal);
    let silent: (() => Error) | undefined;
    try {
      yield* this.#output(args, run, { timeoutMs, signal });
    } catch (error) {
      if (error instanceof GitFailed && error.reason === 'timeout')
        silent = () => new GitFailed(error.message, error);
      throw error;
    } finally {
      leave(silent);
    }
  }

  /**
   * The output of `work`, for which another thread runs one `git` on the disk, in the environment that `work` is given. It
   * has one of the places that there are for such.
   *
   * @throws {Busy} too many wait for their turn
   * @throws all errors of `work`
   */
  async *elsewhere<T>(
    work: (environment: Environment) => AsyncGenerator<T, void, void>,
  ): AsyncGenerator<T, void, void> {
    await this.#gate.enter();
    try {
      yield* work(this.#environment);
    } finally {
      this.#gate.leave();
    }
  }

  async #enter(run: GitRun, signal: AbortSignal): Promise<(silent?: () => Error) => void> {
    if (run.server !== undefined) return await this.#servers.enter(run.server.name, signal);
    await this.#gate.enter(signal);
    return () => this.#gate.leave();
  }

  async *#output(
    args: readonly string[],
    run: GitRun,
    { timeoutMs, signal }: { timeoutMs: number; signal: AbortSignal },
  ): AsyncGenerator<Buffer, void, void> {
    if (run.gitDir !== undefined && !isDirectory(run.gitDir)) throw gone();
    const child = this.#spawn(args, run);
    const ended = settled(child);
    if (!child.stdin) throw notStarted((await ended).error, run.gitDir); // No descriptor was left for pipes.
    child.stdio[3]?.on('error', () => {});
    child.stdin.on('error', () => {}); // It may end before it has read all; its exit code tells.
    child.stdin.end(run.input);
    if (child.pid !== undefined) run.onStarted?.(child.pid);
    let isLate = false;
    const end = () => child.pid !== undefined && endProcessGroup(child.pid);
    const timer = setTimeout(() => {
      isLate = true;
      end();
    }, timeoutMs);
    signal.addEventListener('abort', end, { once: true });
    try {
      const words = collectWords(child.stderr);
      try {
        for await (const piece of child.stdout) yield piece;
      } catch (error) {
        if (!isLate && !signal.aborted) throw error;
      }
      const { exitCode, error } = await ended;
      signal.throwIfAborted();
      if (error !== undefined) throw notStarted(error, run.gitDir);
      if (isLate)
        throw new GitFailed(`git ${args[0]} took over ${timeoutMs} ms`, {
          reason: 'timeout',
          isOutside: isOutside(run),
        });
      if (exitCode === NO_PROGRAM) throw notStarted(new Error(await words), undefined);
      if (exitCode !== 0) throw failure(args, { exitCode, words: await words, isOutside: isOutside(run) });
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      end();
      await ended; // Whoever asked may remove its files now; and a thread that waits for work sees no process end.
    }
  }

  #spawn(args: readonly string[], run: GitRun) {
    const { gitDir, server, hasOwnSsh = false, settings = [] } = run;
    const place = gitDir === undefined ? [] : [`--git-dir=${gitDir}`];
    const more = settings.flatMap((setting) => ['-c', setting]);
    const words = [...gitSettings(this.#environment), ...more, ...place, ...args];
    const { isBackground = false } = run;
    const isLong = server !== undefined || isBackground;
    const script = isBackground ? GUARDED.replace('exec ', 'exec nice -n 19 ') : GUARDED;
    return spawn(isLong ? 'sh' : 'git', isLong ? ['-c', script, 'git', ...words] : words, {
      // A repository that the server's own directory lies in is none of its business.
      cwd: gitDir ?? '/',
      env: gitEnvironment(this.#environment, { protocols: server?.protocols ?? [], hasOwnSsh }),
      // A session of its own has no terminal to ask on.
      detached: true,
      stdio: ['pipe', 'pipe', 'pipe', ...(isLong ? (['pipe'] as const) : [])],
    });
  }
}

function isOutside({ server }: GitRun): boolean {
  return server !== undefined;
}

/**
 * Runs `git`, and beside it a process that ends the group when this server is gone: descriptor 3 is the end of a pipe that
 * nothing is ever written to. A fetch would go on for as long as its server wants, and hold locks that the next start removes.
 * The words of the command are arguments here, and no part of the script.
 */
const GUARDED = '{ read -r _ <&3; kill -9 0; } >/dev/null 2>&1 </dev/null & exec git "$@" 3<&-';

/** The shell's word for a program that is not there. */
const NO_PROGRAM = 127;

/** Ends `git` and all that it started: remote helpers, ssh, index-pack. */
export function endProcessGroup(id: number): void {
  try {
    process.kill(-id, 'SIGKILL');
  } catch {
    // The group is gone already.
  }
}

type End = { readonly exitCode: number | undefined; readonly error?: Error };

/** Listens from now on, and never rejects. */
function settled(child: ChildProcess): Promise<End> {
  return new Promise((resolve) => {
    child.once('error', (error) => resolve({ exitCode: undefined, error }));
    child.once('exit', (code) => resolve({ exitCode: code ?? undefined }));
  });
}

/** The beginning and the end of what it writes. */
async function collectWords(stderr: Readable): Promise<string> {
  let [head, tail] = [Buffer.alloc(0), Buffer.alloc(0)];
  const half = GIT_WORDS_BYTES_MAX / 2;
  stderr.on('data', (piece: Buffer) => {
    const room = half - head.length;
    head = Buffer.concat([head, piece.subarray(0, Math.max(room, 0))]);
    tail = Buffer.concat([tail, piece.subarray(Math.max(room, 0))]).subarray(-half);
  });
  stderr.on('error', () => {});
  await once(stderr, 'close');
  return Buffer.concat([head, tail]).toString();
}

function notStarted(error: Error | undefined, gitDir: string | undefined): GitFailed {
  // A process can't start in a directory that is not there; the system's words are those for a missing program.
  if (gitDir !== undefined && !isDirectory(gitDir)) return gone();
  return new GitFailed(`cannot start git: ${error?.message ?? 'no reason'}`, { reason: 'missing' });
}

function gone(): GitFailed {
  return new GitFailed('its directory is gone', { reason: 'gone' });
}

function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

function failure(
  args: readonly string[],
  { exitCode, words, isOutside }: { exitCode: number | undefined; words: string; isOutside: boolean },
): GitFailed {
  const end = exitCode === undefined ? 'was ended by a signal' : `ended with ${exitCode}`;
  const message = `git ${args[0]} ${end}: ${oneLine(words)}`;
  return new GitFailed(message, { reason: 'exit', words, exitCode, isOutside });
}
