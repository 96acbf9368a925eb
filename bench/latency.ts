// Question: what does a line of 20 ms, or of 50 Mbit/s, cost a machine that builds what another one has built?
// Method: each way has a server of its own, which one machine fills. Then machines with empty directories do the same over
// relays in this process, in turns; medians. Times are wall seconds, with CPU seconds of `go` and all that it starts behind
// the stroke; bytes are those to the machine. CGO is off, nothing is linked. `--quick`: what net/http imports, in one round.
// gocached is of bradfitz/go-tool-cache, with go-cacher as its client.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ASTERA } from '../test/support/astera.ts';
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
  project,
} from './support/cache-ways.ts';
import { changeDeepPackage, takeDeepPackage } from './support/deep-package.ts';
import { memory } from './support/process-cost.ts';
import { median, megabytes, short, type Table } from './support/table.ts';

const LINES: readonly { readonly name: string; readonly delayMs: number; readonly bytesPerMs: number }[] = [
  { name: 'loopback', delayMs: 0, bytesPerMs: Infinity },
  { name: '20 ms round trip', delayMs: 10, bytesPerMs: Infinity },
  { name: '20 ms, 50 Mbit/s', delayMs: 10, bytesPerMs: 6_250 },
];

type Way = {
  readonly name: string;
  readonly kind: 'astera' | 'gocached';
  readonly program: (directory: string, url: string) => string;
  /** It differs in nothing else. */
  readonly isForNextCommit?: true;
};

const PATIENT = '--close-wait=600s --remote-timeout=30s';
const WAYS: readonly Way[] = [
  {
    name: 'gocached',
    kind: 'gocached',
    program: (directory, url) => `${GO_CACHER} --cache-dir=${directory} --cache-server=${url}`,
  },
  {
    name: 'astera, --prefetch=0',
    kind: 'astera',
    program: (directory, url) =>
      `${ASTERA} cacheprog --cache-dir=${directory} --remote=${url} --prefetch=0 ${PATIENT}`,
  },
  {
    name: 'astera, --deltas=false',
    kind: 'astera',
    program: (directory, url) =>
      `${ASTERA} cacheprog --cache-dir=${directory} --remote=${url} --deltas=false ${PATIENT}`,
    isForNextCommit: true,
  },
  {
    name: 'astera',
    kind: 'astera',
    program: (directory, url) => `${ASTERA} cacheprog --cache-dir=${directory} --remote=${url} ${PATIENT}`,
  },
];

type Figure = Cost & { readonly bytes: number };

export async function run({ isQuick }: BenchOptions): Promise<Table> {
  await ensurePeers();
  const built: Built = isQuick ? 'std' : 'large';
  const scratch = mkdtempSync(join(tmpdir(), 'astera-bench-latency-'));
  try {
    const rows: string[][] = [];
    for (const way of WAYS) {
      const bench = await Machines.start({ way, built, scratch });
      try {
        rows.push(...(await bench.run(isQuick ? 1 : 3)));
      } finally {
        await bench.stop();
      }
    }
    return {
      title: 'A build cache behind a line',
      note: `Building ${built === 'std' ? 'what net/http imports' : 'the large project'}, library only.`,
      columns: ['what', 'way', 'line', 's / CPU s', 'MB to the machine', 'server, MB at most'],
      rows: rows.toSorted((a, b) => (a[0] ?? '').localeCompare(b[0] ?? '')),
    };
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

class Machines {
  readonly #way: Way;
  readonly #built: Built;
  readonly #scratch: string;
  readonly #server: CacheServer;
  readonly #relay: SlowRelay;
  readonly #clients: GoClient[] = [];

  static async start(of: { way: Way; built: Built; scratch: string }): Promise<Machines> {
    const server = await CacheServer.start(of.way.kind, of.scratch);
    return new Machines(of, server, await SlowRelay.start(server.url, 0));
  }

  private constructor(
    { way, built, scratch }: { way: Way; built: Built; scratch: string },
    server: CacheServer,
    relay: SlowRelay,
  ) {
    this.#way = way;
    this.#built = built;
    this.#scratch = scratch;
    this.#server = server;
    this.#relay = relay;
  }

  async stop(): Promise<void> {
    this.#relay.stop();
    await this.#server.stop();
    for (const client of this.#clients) await client.dispose();
  }

  async run(rounds: number): Promise<string[][]> {
    const first = await this.#machine();
    await cost(first, 'build', '.');
    const rows: string[][] = [];
    for (const line of LINES) {
      Object.assign(this.#relay, line);
      if (this.#way.isForNextCommit !== true) rows.push(...(await this.#unchanged(rounds, line)));
      if (line.delayMs === 0) continue;
      const next = await this.#times(1, async () => [
        await this.#nextCommit(first, line.name),
        ['build', '.'],
      ]);
      rows.push(this.#row('second machine builds the next commit', line.name, next));
    }
    return rows;
  }

  async #unchanged(rounds: number, line: (typeof LINES)[number]): Promise<string[][]> {
    const builds = await this.#times(rounds, async () => [await this.#machine(), ['build', '.']]);
    const rows = [this.#row('second machine builds', line.name, builds)];
    if (line.delayMs === 0) return rows;
    const lists = await this.#times(rounds, async () => [await this.#machine(), ['list', '-deps', '.']]);
    return [...rows, this.#row('second machine lists', line.name, lists)];
  }

  /** A machine that has built what the first one has built, before the first one built a change of it. */
  async #nextCommit(first: GoClient, text: string): Promise<GoClient> {
    const second = await this.#machine();
    await cost(second, 'build', '.');
    for (const go of [first, second]) changeDeepPackage(go, text);
    await cost(first, 'build', '.');
    return second;
  }

  async #times(
    rounds: number,
    make: () => Promise<readonly [GoClient, readonly string[]]>,
  ): Promise<Figure[]> {
    const figures: Figure[] = [];
    for (let round = 0; round < rounds; round++) {
      const [go, args] = await make();
      const before = this.#relay.bytesDown;
      const spent = await cost(go, ...args);
      figures.push({ ...spent, bytes: this.#relay.bytesDown - before });
    }
    return figures;
  }

  #row(what: string, line: string, figures: readonly Figure[]): string[] {
    const of = (pick: (figure: Figure) => number) => median(figures.map(pick));
    return [
      what,
      this.#way.name,
      line,
      `${short(of(({ seconds }) => seconds))} / ${short(of(({ cpuSeconds }) => cpuSeconds))}`,
      megabytes(of(({ bytes }) => bytes)),
      megabytes(memory(this.#server.pid).peakRssBytes),
    ];
  }

  async #machine(): Promise<GoClient> {
    const directory = mkdtempSync(join(this.#scratch, 'machine-'));
    const url = this.#relay.url;
    const go = await project(this.#built, this.#way.program(join(directory, 'cache'), url));
    this.#clients.push(go);
    await takeDeepPackage(go, this.#built);
    return go;
  }
}
