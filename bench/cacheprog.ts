// Question: what do the build cache program and its server cost beside Go's own cache, go-cacher and gocached?
// Method: the large project as a library, so that nothing is linked: its packages and all they import; CGO is off. Each row
// is done by each way in turns, so that a noisy moment hits them all; medians. Times are wall seconds, with CPU seconds of
// `go` and all that it starts behind the stroke. `--quick`: what encoding/json imports, in few rounds. The line of 20 ms is a relay in
// this process. go-cacher and gocached are of bradfitz/go-tool-cache.

import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ASTERA } from '../test/support/astera.ts';
import { freePort } from '../test/support/free-port.ts';
import type { GoClient } from '../test/support/go.ts';
import { SlowRelay } from '../test/support/slow-relay.ts';
import type { BenchOptions } from './support/bench-options.ts';
import {
  type Built,
  CacheServer,
  type Cost,
  cost,
  ensurePeers,
  GO_CACHER,
  ProgramMemory,
  project,
  startPluginServer,
} from './support/cache-ways.ts';
import { memory, PeakMemory } from './support/process-cost.ts';
import { median, megabytes, short, type Table, verdict } from './support/table.ts';

const LINE_MS = 20;
/** Machines that build at once, each with an empty directory. */
const MACHINES = 16;
const OWN = "Go's own";
const CACHER = 'go-cacher';
const PROGRAM = 'astera cacheprog';
const CONNECT = 'astera connect';

type Kind = 'astera' | 'gocached';

type Row = readonly [string, string, string, string, string];

export async function run({ isQuick }: BenchOptions): Promise<Table> {
  await ensurePeers();
  const directory = mkdtempSync(join(tmpdir(), 'astera-bench-cacheprog-'));
  const scene = new Scene(isQuick ? 'json' : 'large', directory);
  try {
    const rows: Row[] = [];
    // In the order of their worth, as a run may be cut off.
    for (const measure of [warm, cold, second, failures]) {
      rows.push(...(await measure(scene, isQuick)));
      process.stderr.write(`${rows.map((row) => row.join(' | ')).join('\n')}\n`);
    }
    return {
      title: 'Build cache programs',
      note: `${scene.packages} packages. Wall s / CPU s.`,
      columns: ['what', OWN, 'go-cacher, gocached', 'astera', 'goal'],
      rows,
    };
  } finally {
    await scene.dispose();
    rmSync(directory, { recursive: true, force: true });
  }
}

/** One project, its directories and all that has to be ended. */
class Scene {
  readonly built: Built;
  readonly directory: string;
  packages = 0;
  /** Go's own cold build. */
  own: Cost = { seconds: 0, cpuSeconds: 0 };
  /** Servers that a cold build has filled. */
  readonly filled = new Map<Kind, CacheServer>();
  readonly #ends: (() => Promise<void> | void)[] = [];

  constructor(built: Built, directory: string) {
    this.built = built;
    this.directory = directory;
  }

  /** A directory that is not there yet. */
  newDirectory(): string {
    return join(mkdtempSync(join(this.directory, 'cache-')), 'cache');
  }

  later(end: () => Promise<void> | void): void {
    this.#ends.push(end);
  }

  async client(program: string): Promise<GoClient> {
    const go = await project(this.built, program);
    this.later(() => go.dispose());
    return go;
  }

  async server(kind: Kind): Promise<CacheServer> {
    const server = await CacheServer.start(kind, this.directory);
    this.later(() => server.stop());
    return server;
  }

  async dispose(): Promise<void> {
    for (const end of this.#ends.splice(0).reverse()) await end();
  }
}

async function warm(scene: Scene, isQuick: boolean): Promise<Row[]> {
  const ours = scene.newDirectory();
  const plugin = await startPluginServer(ours);
  scene.later(() => void plugin.child.kill('SIGKILL'));
  const ways = [
    { name: OWN, program: '' },
    { name: CACHER, program: `${GO_CACHER} --cache-dir=${scene.newDirectory()}` },
    { name: PROGRAM, program: `${ASTERA} cacheprog --cache-dir=${ours}` },
    { name: CONNECT, program: `${ASTERA} connect ${plugin.port}` },
  ];
  const taken = new Map<string, { go: GoClient; builds: Cost[]; lists: Cost[] }>();
  for (const { name, program } of ways) {
    const go = await scene.client(program);
    taken.set(name, { go, builds: [], lists: [] });
    await cost(go, 'build', '.');
    if (name !== OWN) continue;
    scene.packages = (await go.run('list', '-deps', '.')).stdout.trimEnd().split('\n').length;
  }
  for (let round = 0; round < (isQuick ? 5 : 11); round++) {
    for (const { go, builds } of taken.values()) builds.push(await cost(go, 'build', '.'));
    for (const { go, lists } of taken.values()) lists.push(await cost(go, 'list', '.'));
  }
  const of = (name: string, what: 'builds' | 'lists') => middle(taken.get(name)?.[what] ?? []);
  const built = (name: string): Row => [
    name === PROGRAM ? 'warm build, local directory' : 'the same by `connect`',
    show(of(OWN, 'builds')),
    show(of(CACHER, 'builds')),
    show(of(name, 'builds')),
    judged(1000 * (of(name, 'builds').seconds - of(CACHER, 'builds').seconds), { atMost: 60 }, ' ms more'),
  ];
  const listed = (name: string, atMost: number): Row => [
    `\`go list .\` by ${name}`,
    show(of(OWN, 'lists')),
    show(of(CACHER, 'lists')),
    show(of(name, 'lists')),
    judged(1000 * (of(name, 'lists').seconds - of(OWN, 'lists').seconds), { atMost }, ' ms added'),
  ];
  return [built(PROGRAM), built(CONNECT), listed(PROGRAM, 60), listed(CONNECT, 45)];
}

/** Cold builds with all that is put uploaded before `go` ends; one of each, as each takes minutes. */
async function cold(scene: Scene): Promise<Row[]> {
  const own = await cost(await scene.client(''), 'build', '.');
  scene.own = own;
  const measure = async (kind: Kind, lineMs: number) => {
    const server = await scene.server(kind);
    const relay = lineMs === 0 ? undefined : await SlowRelay.start(server.url, lineMs / 2);
    const cacheDir = scene.newDirectory();
    const watched = new ProgramMemory(`--cache-dir=${cacheDir}`);
    const peak = new PeakMemory(server.pid);
    const idleBytes = memory(server.pid).rssAnonBytes;
    try {
      const taken = await cost(
        await scene.client(programOf(kind, cacheDir, relay?.url ?? server.url)),
        ...['build', '.'],
      );
      return {
        taken,
        programBytes: watched.stop(),
        serverBytes: peak.stop() - idleBytes,
        sent: (relay?.bytesUp ?? 0) / sizeOf(cacheDir),
      };
    } finally {
      relay?.stop();
      if (lineMs === 0) scene.filled.set(kind, server);
      else await server.stop();
    }
  };
  const [near, nearPeer] = [await measure('astera', 0), await measure('gocached', 0)];
  const [far, farPeer] = [await measure('astera', LINE_MS), await measure('gocached', LINE_MS)];
  return [
    [
      'cold build, all uploaded, loopback',
      show(own),
      show(nearPeer.taken),
      show(near.taken),
      `${judged(near.taken.seconds / own.seconds, { atMost: 1.1 }, ' of own')}; CPU ${short(near.taken.cpuSeconds / own.cpuSeconds)}`,
    ],
    [
      `the same at ${LINE_MS} ms`,
      show(own),
      show(farPeer.taken),
      show(far.taken),
      judged(far.taken.seconds / own.seconds, { atMost: 1.15 }, ' of own'),
    ],
    [
      'bytes sent up at 20 ms, of the raw ones',
      '',
      short(farPeer.sent),
      short(far.sent),
      judged(far.sent, { atMost: 0.25 }),
    ],
    [
      'peak memory of the program, cold, MB',
      '',
      megabytes(nearPeer.programBytes),
      megabytes(Math.max(near.programBytes, far.programBytes)),
      judged(Math.max(near.programBytes, far.programBytes) / 1e6, { atMost: 100 }, ' MB'),
    ],
    [
      'peak memory of the server above idle, cold, MB',
      '',
      megabytes(nearPeer.serverBytes),
      megabytes(near.serverBytes),
      '',
    ],
  ];
}

async function second(scene: Scene, isQuick: boolean): Promise<Row[]> {
  const kinds = ['gocached', 'astera'] as const;
  const servers = { gocached: filled(scene, 'gocached'), astera: filled(scene, 'astera') };
  const [taken, at20] = [
    { gocached: [] as Cost[], astera: [] as Cost[] },
    { gocached: [] as Cost[], astera: [] as Cost[] },
  ];
  const once = async (kind: Kind, url: string) => {
    const cacheDir = scene.newDirectory();
    const go = await project(scene.built, programOf(kind, cacheDir, url));
    try {
      return await cost(go, 'build', '.');
    } finally {
      await go.dispose();
      rmSync(cacheDir, { recursive: true, force: true });
    }
  };
  for (let round = 0; round < (isQuick ? 3 : 7); round++)
    for (const kind of kinds) taken[kind].push(await once(kind, servers[kind].url));
  for (let round = 0; round < (isQuick ? 1 : 3); round++) {
    for (const kind of kinds) {
      const relay = await SlowRelay.start(servers[kind].url, LINE_MS / 2);
      at20[kind].push(await once(kind, relay.url));
      relay.stop();
    }
  }
  const peaks: Record<string, number> = {};
  for (const kind of kinds) {
    const idleBytes = memory(servers[kind].pid).rssAnonBytes;
    const peak = new PeakMemory(servers[kind].pid);
    await Promise.all(Array.from({ length: MACHINES }, () => once(kind, servers[kind].url)));
    peaks[kind] = peak.stop() - idleBytes;
  }
  const ratio = middle(taken.astera).seconds / middle(taken.gocached).seconds;
  return [
    [
      'second machine, loopback',
      '',
      show(middle(taken.gocached)),
      show(middle(taken.astera)),
      judged(ratio, { atMost: 1.1 }, ' of gocached'),
    ],
    ['the same at 20 ms', '', show(middle(at20.gocached)), show(middle(at20.astera)), ''],
    [
      `peak memory of the server above idle, ${MACHINES} second machines at once, MB`,
      '',
      megabytes(peaks.gocached ?? 0),
      megabytes(peaks.astera ?? 0),
      judged((peaks.astera ?? 0) / 1e6, { atMost: 128 }, ' MB'),
    ],
  ];
}

function filled(scene: Scene, kind: Kind): CacheServer {
  const server = scene.filled.get(kind);
  if (server === undefined) throw new Error('the cold build comes first');
  return server;
}

async function failures(scene: Scene): Promise<Row[]> {
  const { own } = scene;
  const rows: Row[] = [];
  for (const [how, fail] of [
    ['absent', undefined],
    ['killed in the middle', 'SIGKILL'],
    ['hung in the middle', 'SIGSTOP'],
  ] as const) {
    const server = fail === undefined ? undefined : await scene.server('astera');
    const url = server?.url ?? `http://127.0.0.1:${await freePort()}`;
    const timer = setTimeout(() => fail && server?.child.kill(fail), own.seconds * 300);
    const taken = await cost(
      await scene.client(`${ASTERA} cacheprog --cache-dir=${scene.newDirectory()} --remote=${url}`),
      ...['build', '.'],
    );
    clearTimeout(timer);
    await server?.stop();
    const more = judged(taken.seconds - own.seconds, { atMost: 2 }, ' s longer');
    rows.push([`cold build, server ${how}`, show(own), '', show(taken), more]);
  }
  return rows;
}

/** The program of a machine that waits for its uploads. */
function programOf(kind: Kind, cacheDir: string, url: string): string {
  return kind === 'astera'
    ? `${ASTERA} cacheprog --cache-dir=${cacheDir} --remote=${url} --close-wait=10m`
    : `${GO_CACHER} --cache-dir=${cacheDir} --cache-server=${url}`;
}

function middle(costs: readonly Cost[]): Cost {
  return {
    seconds: median(costs.map(({ seconds }) => seconds)),
    cpuSeconds: median(costs.map(({ cpuSeconds }) => cpuSeconds)),
  };
}

function judged(value: number, goal: { readonly atMost: number }, unit = ''): string {
  return `${short(value)}${unit}; ${verdict(value, goal, unit)}`;
}

function show({ seconds, cpuSeconds }: Cost): string {
  return `${short(seconds)} / ${short(cpuSeconds)}`;
}

/** Of all files of 100 bytes and more: smaller ones name others. */
function sizeOf(directory: string): number {
  return readdirSync(directory, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => statSync(join(entry.parentPath, entry.name)).size)
    .reduce((sum, size) => sum + (size >= 100 ? size : 0), 0);
}
