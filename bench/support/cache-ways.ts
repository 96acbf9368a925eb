/** Build cache programs and servers as the bench sets them beside each other, and one library project that each builds. */

import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { ASTERA } from '../../test/support/astera.ts';
import { CHECKOUT, ensureCorpus } from '../../test/support/corpus.ts';
import { freePort } from '../../test/support/free-port.ts';
import { GoClient, type GoResult } from '../../test/support/go.ts';
import { cpuWithChildrenMs, memory } from './process-cost.ts';

const PEERS = join(CHECKOUT, '.cache/go-cacher');
export const GO_CACHER = join(PEERS, 'go-cacher');

/** Compiles go-cacher and gocached, in pinned versions. */
export async function ensurePeers(): Promise<void> {
  const from = { cwd: join(CHECKOUT, 'bench/go-cacher') };
  for (const name of ['go-cacher', 'gocached']) {
    const source = `github.com/bradfitz/go-tool-cache/cmd/${name}`;
    await promisify(execFile)('go', ['build', '-o', join(PEERS, name), source], from);
  }
}

/** What the bench builds: what encoding/json or net/http import, 68 and 186 packages, or the large project. */
export type Built = keyof typeof IMPORTS | 'large';

const IMPORTS = { json: 'encoding/json', std: 'net/http' } as const;

/**
 * A client of its own project. The large one is a library, so that nothing is linked. Its pins are for `go mod tidy`, and some
 * packages do not compile with them.
 *
 * @param program GOCACHEPROG; empty: Go's own cache
 */
export async function project(of: Built, program: string, env: Readonly<Record<string, string>> = {}) {
  const root = of === 'large' ? await ensureCorpus() : '';
  const go = await GoClient.create('off', {
    env: {
      CGO_ENABLED: '0',
      GOFLAGS: '-trimpath -mod=mod',
      ...(of === 'large' && { GOMODCACHE: join(root, '../..') }),
      ...(program !== '' && { GOCACHEPROG: program }),
      ...env,
    },
  });
  if (of === 'large') await go.take('large', 'whole');
  const main = join(go.project, 'main.go');
  const text =
    of === 'large' ? readFileSync(main, 'utf8') : `package main\n\nimport (\n\t_ "${IMPORTS[of]}"\n)\n`;
  const library = text.replace('package main', 'package large').replace('func main() {}', '');
  writeFileSync(main, library.replace(/^.*(charmbracelet|cmd\/stringer).*\n/gm, ''));
  return go;
}

export type Cost = { readonly seconds: number; readonly cpuSeconds: number };

/** A command's, and what it and all that it starts wrote to stderr. */
export type RunCost = Cost & { readonly stderr: string };

/** Wall time, and CPU of `go` and all that it starts. @throws {Error} the command fails */
export async function cost(go: GoClient, ...args: readonly string[]): Promise<RunCost> {
  const group = CpuGroup.open();
  try {
    const [startedMs, cpuMs] = [performance.now(), cpuWithChildrenMs(process.pid)];
    const { code, stderr } = await (group === undefined ? go.run(...args) : group.run(go, args));
    if (code !== 0) throw new Error(`go ${args.join(' ')}: ${stderr.slice(-2000)}`);
    const seconds = (performance.now() - startedMs) / 1000;
    const cpuSeconds = (await group?.cpuSeconds()) ?? (cpuWithChildrenMs(process.pid) - cpuMs) / 1000;
    return { seconds, cpuSeconds, stderr };
  } finally {
    group?.close();
  }
}

/**
 * A control group of its own (cgroups, version 1). `go` does not wait for its cache program, so the kernel does not count that
 * as a child's child; a group has all.
 */
class CpuGroup {
  readonly #path: string;

  /** Undefined where this machine does not allow it: programs are then not counted. */
  static open(): CpuGroup | undefined {
    try {
      return new CpuGroup(mkdtempSync('/sys/fs/cgroup/cpuacct/astera-bench-'));
    } catch {
      return undefined;
    }
  }

  private constructor(path: string) {
    this.#path = path;
  }

  run(go: GoClient, args: readonly string[]): Promise<GoResult> {
    return go.runProgram('sh', '-c', 'echo $$ > "$0"/cgroup.procs && exec go "$@"', this.#path, ...args);
  }

  /** When all of it has ended. */
  async cpuSeconds(): Promise<number> {
    while (readFileSync(join(this.#path, 'cgroup.procs'), 'utf8') !== '')
      await new Promise((resolve) => setTimeout(resolve, 5));
    return Number(readFileSync(join(this.#path, 'cpuacct.usage'), 'utf8')) / 1e9;
  }

  close(): void {
    try {
      rmdirSync(this.#path);
    } catch {
      // Something runs on in it.
    }
  }
}

/** A server of shared build caches, on a free port of loopback, with a store of its own. */
export class CacheServer {
  readonly url: string;
  readonly child: ChildProcess;
  readonly #directory: string;

  static async start(kind: 'astera' | 'gocached', under: string): Promise<CacheServer> {
    const directory = mkdtempSync(join(under, `${kind}-`));
    const address = `127.0.0.1:${await freePort()}`;
    const [command, ...args] =
      kind === 'astera'
        ? [
            ASTERA,
            'serve',
            '--addr',
            address,
            '--db',
            join(directory, 'a.db'),
            '--offline',
            '--verify',
            'off',
          ]
        : [join(PEERS, 'gocached'), '--listen', address, '--cache-dir', directory];
    const child = spawn(command ?? '', args, {
      env: { PATH: process.env.PATH, HOME: directory, GOENV: 'off' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    child.stdout.resume();
    child.stderr.resume();
    const server = new CacheServer(child, `http://${address}`, directory);
    await server.#answers();
    return server;
  }

  private constructor(child: ChildProcess, url: string, directory: string) {
    this.child = child;
    this.url = url;
    this.#directory = directory;
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  async stop(): Promise<void> {
    const exited = this.child.exitCode ?? this.child.signalCode ?? once(this.child, 'exit');
    this.child.kill('SIGKILL');
    await exited;
    rmSync(this.#directory, { recursive: true, force: true });
  }

  async #answers(): Promise<void> {
    while (this.child.exitCode === null) {
      const answer = await fetch(this.url).catch(() => undefined);
      if (answer !== undefined) return;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    throw new Error(`the server ended: ${this.child.exitCode}`);
  }
}

/** `astera serve --plugin`. @returns its process, and the port that `connect` takes */
export async function startPluginServer(
  cacheDir: string,
): Promise<{ readonly child: ChildProcess; readonly port: string }> {
  const child = spawn(ASTERA, ['serve', '--plugin=0', `--cache-dir=${cacheDir}`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = await once(createInterface({ input: child.stdout }), 'line');
  return { child, port: String(line).replace(/^.*:/, '') };
}

/** Looks for processes whose command line has `mark`, and keeps the most that one of them had resident. */
export class ProgramMemory {
  readonly #timer: NodeJS.Timeout;
  #peakBytes = 0;

  constructor(mark: string) {
    this.#timer = setInterval(() => this.#look(mark), 100);
  }

  stop(): number {
    clearInterval(this.#timer);
    return this.#peakBytes;
  }

  #look(mark: string): void {
    for (const name of readdirSync('/proc')) {
      if (!/^\d+$/.test(name)) continue;
      try {
        const line = readFileSync(`/proc/${name}/cmdline`, 'latin1').split('\0');
        if (line.includes(mark))
          this.#peakBytes = Math.max(this.#peakBytes, memory(Number(name)).peakRssBytes);
      } catch {
        // It has ended.
      }
    }
  }
}
