// Question: what does a private module out of Git cost, cold, beside the go command that reads the same repository itself?
// And forty clients at once; and the making of a zip?
// Method: repositories of 200 files with one tag behind a Git server on loopback, a new one for each round; `go get` in
// direct mode and through Astera in turns, each with empty caches. CPU: of Astera, of go, and of all git processes that
// they start; the Git server has a process of its own.

import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { GitTrace } from '../test/git/git-trace.ts';
import { writeInsteadOf } from '../test/git/go-direct.ts';
import { makeRepository } from '../test/git/repository-maker.ts';
import { Astera } from '../test/support/astera.ts';
import { GoClient } from '../test/support/go.ts';
import type { BenchOptions } from './support/bench-options.ts';
import { GitServer } from './support/git-server.ts';
import { makeNoiseRepository } from './support/noise-repository.ts';
import { cpuWithChildrenMs, PeakTree, ranMsByThread } from './support/process-cost.ts';
import { median, megabytes, short, type Table, verdict } from './support/table.ts';
import { costRows, watched } from './support/watched.ts';

const FILES = 200;
const FILE_BYTES = 6_000;
const ROUNDS = 7;
const CLIENTS = 40;
const GOAL = { atMost: 1.3 };
const ZIP_GOAL = { over: 60 };

const HUGE_FILES = 400;
const HUGE_FILE_BYTES = 1_000_000;

/** Source for the rate of zips; it needs some seconds at most. */
const ZIP_FILES = 4_000;

export async function run({ isQuick }: BenchOptions): Promise<Table> {
  const rounds = isQuick ? 3 : ROUNDS;
  const world = await World.create();
  try {
    const got = await besideDirect(world, rounds);
    return {
      title: `A private module of ${FILES} files, ${short((FILES * FILE_BYTES) / 1e6)} MB, out of Git`,
      note: `${rounds} rounds in turns, after one that warms up; medians. CPU without the Git server's.`,
      columns: ['what', 'figure', 'goal'],
      rows: [
        ...got,
        ...(await herd(world)),
        ...(await manyModules(world)),
        ...(await zipRate(world)),
        ...(isQuick ? [] : await hugeZip(world)),
      ],
    };
  } finally {
    await world.dispose();
  }
}

/** A Git server, an Astera that reads from it, and a home whose `.gitconfig` leads both to it. */
class World {
  readonly astera: Astera;
  readonly trace: GitTrace;
  readonly #directory: string;
  readonly #server: GitServer;

  static async create(): Promise<World> {
    const directory = mkdtempSync(join(tmpdir(), 'astera-bench-git-'));
    const server = await GitServer.start(join(directory, 'served'));
    writeInsteadOf(directory, { 'https://corp.example/': `${server.url}/` });
    const trace = new GitTrace(directory);
    const astera = await Astera.start({
      upstream: 'off',
      flags: ['--private', 'corp.example', '--git-dir', join(directory, 'copies')],
      env: { HOME: directory, ASTERA_GIT: '' },
    });
    return new World({ directory, server, trace, astera });
  }

  private constructor(parts: { directory: string; server: GitServer; trace: GitTrace; astera: Astera }) {
    this.#directory = parts.directory;
    this.#server = parts.server;
    this.trace = parts.trace;
    this.astera = parts.astera;
  }

  /** A new repository with one tag. @returns its module path */
  async makeModule(name: string, files: number): Promise<string> {
    const module = `corp.example/${name}.git`;
    const sources = Array.from(
      { length: files },
      (_, at) => [`pkg${at % 20}/file${at}.go`, source(at)] as const,
    );
    const all = { 'go.mod': `module ${module}\n`, 'p.go': 'package p\n', ...Object.fromEntries(sources) };
    makeRepository(join(this.#directory, 'served', name), [{ files: all, tags: ['v1.0.0'] }]);
    await setImmediate(); // Connections that were closed during that must not be used again.
    return module;
  }

  /** One of noise. @returns its module path */
  async makeNoise(name: string, files: number, fileBytes: number): Promise<string> {
    const module = `corp.example/${name}.git`;
    const directory = join(this.#directory, 'served', name);
    await makeNoiseRepository(directory, { module, files, fileBytes, commits: 1, tags: 1 });
    return module;
  }

  async goGet(proxy: string, module: string): Promise<Cost> {
    const env = { HOME: this.#directory, GOVCS: '*:git' };
    const client = await GoClient.create(proxy, { env });
    try {
      this.trace.take();
      const before = [process.pid, this.astera.pid].map(cpuWithChildrenMs);
      const startedMs = performance.now();
      const { code, stderr } = await client.run('get', `${module}@v1.0.0`);
      const wallMs = performance.now() - startedMs;
      if (code !== 0) throw new Error(`go get ${module} from ${proxy}: ${stderr}`);
      const after = [process.pid, this.astera.pid].map(cpuWithChildrenMs);
      const cpuMs = after.reduce((sum, ms, at) => sum + ms - (before[at] ?? 0), 0);
      return { wallMs, cpuMs, processes: this.trace.take().length };
    } finally {
      await client.dispose();
    }
  }

  async dispose(): Promise<void> {
    await this.astera.dispose();
    await this.#server.stop();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

type Cost = { readonly wallMs: number; readonly cpuMs: number; readonly processes: number };

/** Some lines of words, none like another, as far as a compressor cares. */
function source(at: number): string {
  const lines = [`package pkg${at % 20}\n`];
  for (let bytes = 0; bytes < FILE_BYTES; bytes += lines.at(-1)?.length ?? 0)
    lines.push(
      `func f${lines.length}(value int) int { return value + 0x${randomBytes(6).toString('hex')} }\n`,
    );
  return lines.join('');
}

type Row = [what: string, figure: string, goal: string];

async function besideDirect(world: World, rounds: number): Promise<Row[]> {
  const kinds: Record<'direct' | 'cold' | 'warm', Cost[]> = { direct: [], cold: [], warm: [] };
  for (let round = 0; round <= rounds; round++) {
    const module = await world.makeModule(`lib${round}`, FILES);
    const costs = {
      direct: await world.goGet('direct', module),
      cold: await world.goGet(world.astera.url, module),
      warm: await world.goGet(world.astera.url, module),
    };
    if (round === 0) continue;
    for (const kind of ['direct', 'cold', 'warm'] as const) kinds[kind].push(costs[kind]);
  }
  const of = (kind: keyof typeof kinds, field: keyof Cost) => median(kinds[kind].map((cost) => cost[field]));
  const ratio = (field: keyof Cost) =>
    median(kinds.cold.map((cost, at) => cost[field] / (kinds.direct[at]?.[field] ?? Number.NaN)));
  const row = (what: string, field: keyof Cost) =>
    `${what}: ${(['direct', 'cold', 'warm'] as const).map((kind) => short(of(kind, field))).join(' / ')}`;
  const [wall, cpu] = [ratio('wallMs'), ratio('cpuMs')];
  return [
    [row('wall ms, direct / Astera cold / warm', 'wallMs'), short(wall), verdict(wall, GOAL)],
    [row('CPU ms, direct / Astera cold / warm', 'cpuMs'), short(cpu), verdict(cpu, GOAL)],
    [row('git processes, direct / Astera cold / warm', 'processes'), short(ratio('processes')), ''],
  ];
}

/** Forty clients that ask for one cold module's three files, as `go mod download` does. */
async function herd(world: World): Promise<Row[]> {
  const module = await world.makeModule('herd', FILES);
  world.trace.take();
  const beforeMs = cpuWithChildrenMs(world.astera.pid);
  const { cost } = await watched(world.astera, () =>
    Promise.all(Array.from({ length: CLIENTS }, () => download(world.astera, module))),
  );
  const processes = world.trace.take();
  const count = (name: string) => processes.filter((one) => one === name).length;
  return [
    [
      `${CLIENTS} clients, one cold module: fetches, archives`,
      `${count('fetch')}, ${count('archive')}`,
      '1, 1',
    ],
    ['the same: git processes', `${processes.length}: ${counted(processes)}`, ''],
    ['the same: CPU s with git', short((cpuWithChildrenMs(world.astera.pid) - beforeMs) / 1000), ''],
    ...costRows(cost).map(([what, figure, goal]): Row => [`the same: ${what}`, figure, goal]),
  ];
}

async function download(astera: Astera, module: string): Promise<void> {
  for (const kind of ['info', 'mod', 'zip']) {
    const answer = await astera.get(`${module}/@v/v1.0.0.${kind}`);
    for await (const _ of answer.body ?? []);
    if (answer.status !== 200) throw new Error(`${module} ${kind}: ${answer.status}`);
  }
}

function counted(names: readonly string[]): string {
  return [...Map.groupBy(names, (name) => name)].map(([name, all]) => `${all.length} ${name}`).join(', ');
}

/** Forty modules of forty repositories, all cold, at once. */
async function manyModules(world: World): Promise<Row[]> {
  const modules: string[] = [];
  for (let at = 0; at < CLIENTS; at++) modules.push(await world.makeModule(`many${at}`, 20));
  const peak = new PeakTree(world.astera.pid);
  try {
    const { cost } = await watched(world.astera, () =>
      Promise.all(modules.map((module) => download(world.astera, module))),
    );
    const { rssAnonBytes, processes } = peak.stop();
    return [
      [`${CLIENTS} cold modules at once: s`, short(cost.wallMs / 1000), ''],
      ['the same: most git processes at a time', `${processes - 1}`, ''],
      [
        'the same: peak RssAnon MB of Astera, with git',
        `${megabytes(cost.peakRssAnonBytes)}, ${megabytes(rssAnonBytes)}`,
        '256',
      ],
      [
        'the same: front thread: ran / waited for a core, s',
        `${short(cost.front.ranMs / 1000)} / ${short(cost.front.waitedMs / 1000)}`,
        '',
      ],
    ];
  } finally {
    peak.stop();
  }
}

/** A module near the bound of what Go takes, which no compressor makes smaller. */
async function hugeZip(world: World): Promise<Row[]> {
  const module = await world.makeNoise('huge', HUGE_FILES, HUGE_FILE_BYTES);
  const peak = new PeakTree(world.astera.pid);
  try {
    const { cost } = await watched(world.astera, () => download(world.astera, module));
    return [
      [
        `${megabytes(HUGE_FILES * HUGE_FILE_BYTES)} MB of noise, cold: s, CPU s of Astera`,
        `${short(cost.wallMs / 1000)}, ${short(cost.cpuMs / 1000)}`,
        '',
      ],
      [
        'the same: peak RssAnon MB of Astera, with git',
        `${megabytes(cost.peakRssAnonBytes)}, ${megabytes(peak.stop().rssAnonBytes)}`,
        '256',
      ],
      ['the same: front thread ran, s', short(cost.front.ranMs / 1000), ''],
    ];
  } finally {
    peak.stop();
  }
}

/** The zip alone: its repository is fetched already. */
async function zipRate(world: World): Promise<Row[]> {
  const module = await world.makeModule('large', ZIP_FILES);
  await (await world.astera.get(`${module}/@v/v1.0.0.mod`)).arrayBuffer();
  const { pid } = world.astera;
  const beforeMs = cpuWithChildrenMs(pid);
  const threadsBefore = ranMsByThread(pid);
  const startedMs = performance.now();
  const answer = await world.astera.get(`${module}/@v/v1.0.0.zip`);
  const { byteLength } = await answer.arrayBuffer();
  const seconds = (performance.now() - startedMs) / 1000;
  const cpuSeconds = (cpuWithChildrenMs(pid) - beforeMs) / 1000;
  const ran = [...ranMsByThread(pid)].map(([thread, ms]) => ({
    thread,
    ms: ms - (threadsBefore.get(thread) ?? 0),
  }));
  const frontMs = ran.find(({ thread }) => thread === pid)?.ms ?? Number.NaN;
  const builderMs = Math.max(...ran.flatMap(({ thread, ms }) => (thread === pid ? [] : [ms])));
  const bytes = ZIP_FILES * FILE_BYTES;
  const rate = bytes / 1e3 / builderMs;
  return [
    [
      `zip of ${megabytes(bytes)} MB source, ${megabytes(byteLength)} MB zip: MB/s`,
      short(bytes / 1e6 / seconds),
      '',
    ],
    ['the same: MB of source per CPU s of the builder thread', short(rate), verdict(rate, ZIP_GOAL)],
    ['the same: MB of source per CPU s, all of Astera and git', short(bytes / 1e6 / cpuSeconds), ''],
    ['the same: front thread ran, s', short(frontMs / 1000), ''],
  ];
}
