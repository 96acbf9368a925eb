/**
 * A real server: `bin/astera serve` as a child process on a free port of loopback.
 *
 * Holds its store in a temporary directory unless told otherwise. The caller stops it; `dispose`
 * ends whatever is left and removes the directory.
 */

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { CHECKOUT } from './corpus.ts';

/** A line in the log comes later than that only if it does not come at all. */
const LOG_WAIT_MS = 30_000;

export const ASTERA = join(CHECKOUT, 'bin/astera');

export type AsteraOptions = {
  /** GOPROXY list the server fetches from; without it the server looks for one itself. */
  readonly upstream?: string;
  /** What is started; by default this checkout's `bin/astera`. */
  readonly program?: string;
  /** The store; by default a new one that goes with `dispose`. */
  readonly db?: string;
  /** Listen address, by default a free port of loopback. */
  readonly addr?: string;
  /** More flags, as on the command line. */
  readonly flags?: readonly string[];
  /** A command that starts it in its place, such as `taskset -c 0`: it must exec. */
  readonly wrapper?: readonly string[];
  /** Variables of its environment beside those of a bare machine. */
  readonly env?: Readonly<Record<string, string>>;
};

export class Astera {
  /** `http://127.0.0.1:PORT`. */
  readonly url: string;
  readonly db: string;
  readonly #child: ChildProcess;
  readonly #directory: string | undefined;
  readonly #log: string[];

  /** Resolves when it answers requests. @throws with all it wrote if it exits before that */
  static async start(options: AsteraOptions): Promise<Astera> {
    const {
      upstream,
      program = ASTERA,
      db,
      addr = '127.0.0.1:0',
      flags = [],
      wrapper = [],
      env = {},
    } = options;
    const directory = db === undefined ? await mkdtemp(join(tmpdir(), 'astera-server-')) : undefined;
    const file = db ?? join(directory ?? '', 'a.db');
    const named = upstream === undefined ? [] : ['--upstream', upstream];
    const args = ['serve', '--addr', addr, '--db', file, ...named, ...flags];
    const [command = program, ...rest] = [...wrapper, program, ...args];
    const child = spawn(command, rest, {
      env: { ...environment(), ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const log: string[] = [];
    child.stderr.setEncoding('utf8').on('data', (text: string) => log.push(text));
    for await (const line of createInterface({ input: child.stdout })) {
      const listening = /^listening on (https?:\/\/\S+)$/.exec(line);
      if (listening === null) continue;
      child.stdout.resume();
      return new Astera({ child, url: listening[1] ?? '', db: file, directory, log });
    }
    if (directory !== undefined) await rm(directory, { recursive: true, force: true });
    throw new Error(`astera did not start: ${log.join('')}`);
  }

  private constructor(parts: {
    child: ChildProcess;
    url: string;
    db: string;
    directory: string | undefined;
    log: string[];
  }) {
    this.#child = parts.child;
    this.url = parts.url;
    this.db = parts.db;
    this.#directory = parts.directory;
    this.#log = parts.log;
  }

  /** Of the server process itself: `bin/astera` execs Node. */
  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** All it wrote to stderr so far. */
  get log(): string {
    return this.#log.join('');
  }

  /** Resolves when its log matches: an answer may come before the line about it. */
  async logged(pattern: RegExp): Promise<void> {
    const { stderr } = this.#child;
    const signal = AbortSignal.timeout(LOG_WAIT_MS);
    while (!pattern.test(this.log)) {
      assert.ok(stderr !== null && !signal.aborted, `no ${pattern} in the log:\n${this.log}`);
      await once(stderr, 'data', { signal }).catch(() => {});
    }
  }

  /** Stops it as a service manager would, and insists on a clean end. */
  async stop(): Promise<void> {
    this.#child.kill('SIGTERM');
    const code = await this.#ended();
    assert.equal(code, 0, `astera must stop with exit 0:\n${this.log}`);
  }

  /** kill -9. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#ended();
  }

  /** Ends what is left, and removes the store it made itself. */
  async dispose(): Promise<void> {
    await this.kill();
    if (this.#directory !== undefined) await rm(this.#directory, { recursive: true, force: true });
  }

  /** Asks for a path; redirects are not followed. */
  get(path: string, init: RequestInit = {}): Promise<Response> {
    return fetch(`${this.url}/${path.replaceAll('!', '%21')}`, { redirect: 'manual', ...init });
  }

  /** Every sample of /metrics, by name and labels as they are printed: `astera_answers_total{source="store"}`. */
  async metrics(): Promise<Map<string, number>> {
    return parseMetrics(await (await fetch(`${this.url}/metrics`)).text());
  }

  async #ended(): Promise<number | null> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) await once(this.#child, 'exit');
    return this.#child.exitCode;
  }
}

/** `stderr` is without lines of progress: how many there are depends on how busy the machine is. */
export type Exit = { readonly code: number | null; readonly stdout: string; readonly stderr: string };

/** For {@link Exit}. */
export function withoutProgress(stderr: string): string {
  return stderr.replace(/^[a-z]+: \d+ files, [^\n]*\n/gm, '');
}

/** Runs `bin/astera` to its end, for what must not start. */
export async function runAstera(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Exit> {
  const child = spawn(ASTERA, args, { env: { ...environment(), ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
  assert.equal(signal, null, `astera must not be ended by a signal:\n${stderr}`);
  return { code, stdout, stderr: withoutProgress(stderr) };
}

/** Prometheus text as a map; comments and time stamps are left out. */
export function parseMetrics(text: string): Map<string, number> {
  const samples = new Map<string, number>();
  for (const line of text.split('\n')) {
    const sample = /^([a-zA-Z_:][\w:]*(?:\{.*\})?) (\S+)/.exec(line);
    if (sample !== null) samples.set(sample[1] ?? '', Number(sample[2]));
  }
  return samples;
}

/** The sum of a metric over all its labels. */
export function total(metrics: ReadonlyMap<string, number>, name: string): number {
  let sum = 0;
  for (const [sample, value] of metrics) {
    if (sample === name || sample.startsWith(`${name}{`)) sum += value;
  }
  return sum;
}

/** What a bare machine has: no setting of ours or of Go's leaks in. No test asks the world's checksum database or Git hosts. */
function environment(): NodeJS.ProcessEnv {
  const { PATH, HOME, TMPDIR } = process.env;
  return { PATH, HOME, TMPDIR, GOSUMDB: 'off', GOENV: 'off', ASTERA_GIT: 'off', ASTERA_VULNDB: 'off' };
}
