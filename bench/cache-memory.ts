// Question: what memory does a server take while machines build through it, and what CPU, beside gocached?
// Method: what net/http imports is built once with Go's own cache; made-up machines in a process of their own put these outputs
// and get them, as the cache program and go-cacher would, all at once (`support/machines.ts`). One server of each kind takes all
// loads one after the other. Memory is looked at every 20 ms: RssAnon, and all that is resident. Last, real `go` commands build on
// empty machines, all at once, beside gocached. `--quick`: 6 machines instead of 16, without loads behind a line.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ASTERA } from '../test/support/astera.ts';
import type { BenchOptions } from './support/bench-options.ts';
import { type BuildOutput, buildOutputs } from './support/build-outputs.ts';
import { CacheServer, type Cost, cost, ensurePeers, GO_CACHER, project } from './support/cache-ways.ts';
import { type Machines, runMachines } from './support/machines.ts';
import { cpuMs, memory } from './support/process-cost.ts';
import { megabytes, short, type Table, verdict } from './support/table.ts';

type Kind = 'astera' | 'gocached';
type Row = readonly [string, string, string, string, string, string, string];
type Load = Pick<Machines, 'role' | 'isFar' | 'firstNumber'> & { readonly name: string };

const GOAL_BYTES = 128e6;
/** Real machines that build at once, as issue 17 asks. */
const BUILDERS = 8;

const NEAR: readonly Load[] = [
  { name: 'first machines put', role: 'first', isFar: false, firstNumber: 0 },
  { name: 'second machines', role: 'second', isFar: false, firstNumber: undefined },
  { name: 'second machines without prefetch', role: 'gets', isFar: false, firstNumber: undefined },
];
/** gocached has no other way for them. */
const FAR: readonly Load[] = [
  { name: 'second machines behind a line', role: 'second', isFar: true, firstNumber: undefined },
  { name: 'first machines behind a line put', role: 'first', isFar: true, firstNumber: 1_000 },
];

export async function run({ isQuick }: BenchOptions): Promise<Table> {
  await ensurePeers();
  const outputs = await buildOutputs('std');
  const scratch = mkdtempSync(join(tmpdir(), 'astera-bench-cache-memory-'));
  const machines = isQuick ? 6 : 16;
  try {
    const rows: Row[] = [];
    for (const kind of ['gocached', 'astera'] as const) {
      const server = await CacheServer.start(kind, scratch);
      try {
        const bench = new Bench({ kind, server, outputs, machines, scratch });
        rows.push(...(await bench.run(kind === 'astera' && !isQuick ? [...NEAR, ...FAR] : NEAR)));
      } finally {
        await server.stop();
      }
    }
    return {
      title: 'Memory of a build cache server',
      note: `${outputs.length} outputs, ${megabytes(bytesOf(outputs))} MB; ${machines} machines at once.`,
      columns: [
        'load',
        'server',
        's',
        'CPU s of it',
        'RssAnon MB, before; most',
        'RSS MB, most',
        'above idle, MB',
      ],
      rows: rows.toSorted((a, b) => NAMES.indexOf(a[0]) - NAMES.indexOf(b[0])),
    };
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

const BUILT = `${BUILDERS} real second machines build`;
const NAMES = [...NEAR.map(({ name }) => name), BUILT, ...FAR.map(({ name }) => name)];

type BenchParts = {
  readonly kind: Kind;
  readonly server: CacheServer;
  readonly outputs: readonly BuildOutput[];
  readonly machines: number;
  readonly scratch: string;
};

class Bench {
  readonly #parts: BenchParts;
  readonly #idleBytes: number;

  constructor(parts: BenchParts) {
    this.#parts = parts;
    this.#idleBytes = memory(parts.server.pid).rssAnonBytes;
  }

  async run(loads: readonly Load[]): Promise<Row[]> {
    const { kind, server, outputs, machines } = this.#parts;
    // What second machines find.
    const fill = { role: 'first', isFar: false, firstNumber: undefined } as const;
    await this.#simulate({ ...fill, url: server.url, kind, machines: 1, outputs });
    const rows: Row[] = [];
    for (const { name, ...load } of loads) {
      const task = { ...load, url: server.url, kind, machines, outputs };
      rows.push(await this.#measure(name, () => this.#simulate(task)));
    }
    await this.#build(1); // Its session is what the others ask for.
    rows.push(await this.#measure(BUILT, () => this.#build(BUILDERS)));
    return rows;
  }

  async #measure(name: string, load: () => Promise<string>): Promise<Row> {
    const { kind, server } = this.#parts;
    const beforeBytes = memory(server.pid).rssAnonBytes;
    const peak = new PeakResident(server.pid);
    const cpuBeforeMs = cpuMs([server.pid]);
    const seconds = await load();
    const cpu = (cpuMs([server.pid]) - cpuBeforeMs) / 1000;
    const { anonBytes, allBytes } = peak.stop();
    const above = anonBytes - this.#idleBytes;
    const judged = verdict(above / 1e6, { atMost: GOAL_BYTES / 1e6 });
    const row: Row = [
      name,
      kind,
      seconds,
      short(cpu),
      `${megabytes(beforeBytes)}; ${megabytes(anonBytes)}`,
      megabytes(allBytes),
      `${megabytes(above)}${kind === 'astera' ? `; ${judged}` : ''}`,
    ];
    process.stderr.write(`${row.join(' | ')}\n`);
    return row;
  }

  /** @throws {Error} a request failed */
  async #simulate(machines: Machines): Promise<string> {
    const { wallMs, errors, requests } = await runMachines(machines);
    if (errors > 0) throw new Error(`${machines.role}: ${errors} of ${requests} requests failed`);
    return short(wallMs / 1000);
  }

  /** Empty machines that build at once. */
  async #build(machines: number): Promise<string> {
    const { kind, server, scratch } = this.#parts;
    const made = Array.from({ length: machines }, async () => {
      const cacheDir = join(mkdtempSync(join(scratch, 'machine-')), 'cache');
      return project('std', programOf(kind, cacheDir, server.url));
    });
    const clients = await Promise.all(made);
    const startedMs = performance.now();
    try {
      const costs: Cost[] = await Promise.all(clients.map((go) => cost(go, 'build', '.')));
      const cpu = costs.reduce((sum, { cpuSeconds }) => sum + cpuSeconds, 0);
      return `${short((performance.now() - startedMs) / 1000)}; CPU s of machines ${short(cpu)}`;
    } finally {
      for (const go of clients) await go.dispose();
    }
  }
}

function programOf(kind: Kind, cacheDir: string, url: string): string {
  return kind === 'astera'
    ? `${ASTERA} cacheprog --cache-dir=${cacheDir} --remote=${url} --close-wait=10m`
    : `${GO_CACHER} --cache-dir=${cacheDir} --cache-server=${url}`;
}

function bytesOf(outputs: readonly BuildOutput[]): number {
  return outputs.reduce((sum, { size }) => sum + size, 0);
}

/** Looks every 20 ms. */
class PeakResident {
  readonly #timer: NodeJS.Timeout;
  #anonBytes = 0;
  #allBytes = 0;

  constructor(pid: number) {
    this.#timer = setInterval(() => {
      const { rssAnonBytes, rssFileBytes } = memory(pid);
      this.#anonBytes = Math.max(this.#anonBytes, rssAnonBytes);
      this.#allBytes = Math.max(this.#allBytes, rssAnonBytes + rssFileBytes);
    }, 20);
  }

  stop() {
    clearInterval(this.#timer);
    return { anonBytes: this.#anonBytes, allBytes: this.#allBytes };
  }
}
