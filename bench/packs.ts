// Question: what does a bucket 20 ms away cost a machine that builds what another one has built?
// Method: a real S3 server (versitygw) on loopback, which one machine fills over the line. Then machines with empty directories build
// the same over a relay in this process, in turns: with packs, and from go-cache-plugin's objects alone (`--prefetch=0`); medians.
// A third way is a machine at a server of its own, which has nothing either: the bucket is behind the server. Times are wall seconds, with CPU
// seconds of `go` and all that it starts behind the stroke. CGO is off, nothing is linked.
// `--quick`: what net/http imports, in one round.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ASTERA, total } from '../test/support/astera.ts';
import { startNode } from '../test/support/bucket-nodes.ts';
import { BUCKET_KEYS, BucketServer } from '../test/support/bucket-server.ts';
import type { GoClient } from '../test/support/go.ts';
import { SlowRelay } from '../test/support/slow-relay.ts';
import type { BenchOptions } from './support/bench-options.ts';
import { type Built, cost, ProgramMemory, project, type RunCost } from './support/cache-ways.ts';
import { median, megabytes, short, type Table } from './support/table.ts';

const LINES = {
  loopback: { delayMs: 0, bytesPerMs: Infinity },
  '20 ms round trip': { delayMs: 10, bytesPerMs: Infinity },
  '20 ms, 50 Mbit/s': { delayMs: 10, bytesPerMs: 6_250 },
};

type LineName = keyof typeof LINES;

type Figure = RunCost & { readonly requests: number; readonly bytes: number; readonly peakBytes: number };

export async function run({ isQuick }: BenchOptions): Promise<Table> {
  const built: Built = isQuick ? 'std' : 'large';
  const scratch = mkdtempSync(join(tmpdir(), 'astera-bench-packs-'));
  const server = await BucketServer.start(scratch);
  const relay = await SlowRelay.start(server.url, 0);
  try {
    return {
      title: 'A build cache in a bucket',
      note: `Building ${built === 'std' ? 'what net/http imports' : 'the large project'}, library only.`,
      columns: ['what', 'how', 'line', 's / CPU s', 'requests', 'MB to the machine', 'program, MB at most'],
      rows: await new Machines({ built, scratch, relay }).run(isQuick ? 1 : 3),
    };
  } finally {
    relay.stop();
    await server.stop();
    rmSync(scratch, { recursive: true, force: true });
  }
}

type Parts = { readonly built: Built; readonly scratch: string; readonly relay: SlowRelay };

class Machines {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  async run(rounds: number): Promise<string[][]> {
    const rows: string[][] = [];
    const add = async (what: string, how: string, line: LineName, times: number, args = ['build', '.']) => {
      Object.assign(this.#parts.relay, LINES[line]);
      const figures: Figure[] = [];
      for (let time = 0; time < times; time++) figures.push(await this.#measure(how, args));
      rows.push(row(what, how, line, figures));
    };
    await add('cold build', OWN, 'loopback', 1);
    await add('cold build, which fills the bucket', PACKS, '20 ms round trip', 1);
    for (const line of Object.keys(LINES) as LineName[]) {
      await add('second machine builds', PACKS, line, rounds);
      await add('second machine builds', OBJECTS, line, line === 'loopback' ? rounds : 1);
      await add('second machine builds', NODE, line, rounds);
    }
    for (const how of [PACKS, OBJECTS])
      await add('second machine lists', how, '20 ms round trip', 1, ['list', '-deps', '.']);
    return rows;
  }

  /** A machine that has nothing runs `go` once. */
  async #measure(how: string, args: readonly string[]): Promise<Figure> {
    if (how === NODE) return this.#measureAtNode(args);
    const { built, scratch, relay } = this.#parts;
    const directory = `--cache-dir=${mkdtempSync(join(scratch, 'machine-'))}`;
    const flags = [
      directory,
      '--bucket=bucket',
      `--s3-endpoint-url=${relay.url}`,
      how === OBJECTS ? '--prefetch=0' : '',
    ];
    const program = how === OWN ? '' : `${ASTERA} cacheprog ${flags.join(' ')} ${PATIENT}`;
    const go: GoClient = await project(built, program, BUCKET_KEYS);
    const memory = new ProgramMemory(directory);
    try {
      const before = relay.bytesDown;
      const spent = await cost(go, ...args);
      const requests = Number(/ (\d+) requests,/.exec(spent.stderr)?.[1] ?? 0);
      return { ...spent, requests, bytes: relay.bytesDown - before, peakBytes: memory.stop() };
    } finally {
      memory.stop();
      await go.dispose();
    }
  }

  /** The server is near the machine, and the bucket far from the server. */
  async #measureAtNode(args: readonly string[]): Promise<Figure> {
    const { built, scratch, relay } = this.#parts;
    const node = await startNode(relay.url, { upstream: 'off', flags: ['--sumdb=off', '--verify=off'] });
    const directory = `--cache-dir=${mkdtempSync(join(scratch, 'machine-'))}`;
    const program = `${ASTERA} cacheprog ${directory} --remote=${node.url} ${PATIENT}`;
    const go = await project(built, program);
    const memory = new ProgramMemory(directory);
    try {
      const before = relay.bytesDown;
      const spent = await cost(go, ...args);
      const requests = total(await node.metrics(), 'astera_bucket_requests_total');
      return { ...spent, requests, bytes: relay.bytesDown - before, peakBytes: memory.stop() };
    } finally {
      memory.stop();
      await go.dispose();
      await node.dispose();
    }
  }
}

const OWN = "Go's own cache";
const NODE = 'packs, through a server that has nothing';
const PACKS = 'packs';
const OBJECTS = "go-cache-plugin's objects";
const PATIENT = '--close-wait=600s --remote-timeout=30s --metrics';

function row(what: string, how: string, line: string, figures: readonly Figure[]): string[] {
  const of = (pick: (figure: Figure) => number) => median(figures.map(pick));
  const times = `${short(of(({ seconds }) => seconds))} / ${short(of(({ cpuSeconds }) => cpuSeconds))}`;
  const numbers = [
    String(of(({ requests }) => requests)),
    megabytes(of(({ bytes }) => bytes)),
    megabytes(Math.max(...figures.map(({ peakBytes }) => peakBytes))),
  ];
  return how === OWN ? [what, how, '', times, '', '', ''] : [what, how, line, times, ...numbers];
}
