// Question: what does a poor line cost: a download that is cut again and again, an upstream that is
// gone, and the bytes a cold `go mod tidy` asks for?
// Method: upstreams that cut, or are gone in each way, on loopback; real `go` commands of the small
// project with a store filled by the same command, every stored time being over.

import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { Agent, get, type IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Astera } from '../test/support/astera.ts';
import { ensureCorpus, type Project } from '../test/support/corpus.ts';
import { FaultyUpstream } from '../test/support/faulty-upstream.ts';
import { GoClient } from '../test/support/go.ts';
import { blackHole, type Gone, refusing, silent } from '../test/support/gone-upstream.ts';
import { madeUpFiles } from '../test/support/module-zip.ts';
import { ask } from '../test/support/raw-client.ts';
import { UpstreamProcess } from '../test/support/upstream-process.ts';
import { median, short, type Table } from './support/table.ts';
import { noiseModule, zipPath } from './support/tree.ts';

const MB = 1_000_000;
const ASKS = 300;

/** The time of everything stored is over at once. */
const FLAGS = ['--verify', 'off', '--list-ttl', '1ms', '--negative-ttl', '1ms'];

type Row = readonly [what: string, figure: string, bound: string];

export async function run(): Promise<Table> {
  const root = await ensureCorpus();
  const rows: Row[] = [...(await resumed()), ...(await firstBytes()), ...(await bytesAsked(root))];
  const scratch = await mkdtemp(join(tmpdir(), 'astera-bench-'));
  try {
    rows.push(...(await commandsWithout(root, scratch)));
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
  return { title: 'Poor line', columns: ['', '', 'bound'], rows };
}

/** 20 MB at 4 MB/s, uncut and cut at every megabyte. */
async function resumed(): Promise<Row[]> {
  const module = noiseModule('cut', 20);
  const bytes = madeUpFiles(module).zip;
  const line = { bytes, etag: '"e"', pieceBytes: 40_000, pauseMs: 10 };
  const took: number[] = [];
  let resumes = 0;
  let more = 0;
  for (const cut of [{}, { cutAfter: MB }]) {
    const upstream = await FaultyUpstream.start();
    upstream.serve(zipPath(module), { ...line, ...cut });
    const astera = await Astera.start({ upstream: upstream.url, flags: FLAGS });
    try {
      const startedMs = performance.now();
      const { body, isWhole } = await ask(`${astera.url}/${zipPath(module)}`);
      took.push(performance.now() - startedMs);
      if (!isWhole || !body.equals(bytes)) throw new Error('not what the upstream has');
      resumes = (await astera.metrics()).get('astera_upstream_resumes_total') ?? 0;
      more = upstream.bytesSent - bytes.length;
    } finally {
      await astera.dispose();
      await upstream.close();
    }
  }
  const [uncut = 0, cut = 0] = took;
  const backOffsMs = resumes * 100; // The first wait of each is 50 to 100 ms.
  return [
    ['20 MB uncut, s', short(uncut / 1000), ''],
    [
      `the same cut every 1 MB, ${resumes} resumes, s`,
      short(cut / 1000),
      `1.2 times and the back-offs: ${short((1.2 * uncut + backOffsMs) / 1000)}`,
    ],
    ['bytes more than its size', String(more), '1,000,000'],
  ];
}

/** A stored list whose time is over, once its upstream counts as down. */
async function firstBytes(): Promise<Row[]> {
  const upstream = await FaultyUpstream.start();
  const path = 'stored.example/m/@v/list';
  upstream.serve(path, { text: 'v1.0.0\n', bytes: Buffer.from('v1.0.0\n') });
  const astera = await Astera.start({ upstream: upstream.url, flags: FLAGS });
  const agent = new Agent({ keepAlive: true });
  try {
    await ask(`${astera.url}/${path}`);
    await upstream.close();
    for (let tries = 0; tries < 5; tries++) await ask(`${astera.url}/unknown.example/m${tries}/@v/list`);
    const times: number[] = [];
    for (let at = 0; at < ASKS; at++) {
      const startedMs = performance.now();
      const [response] = (await once(get(`${astera.url}/${path}`, { agent }), 'response')) as [
        IncomingMessage,
      ];
      times.push(performance.now() - startedMs);
      if (response.statusCode !== 200) throw new Error(`${response.statusCode}`);
      response.resume();
      await once(response, 'close');
    }
    const sorted = times.toSorted((a, b) => a - b);
    const p99 = sorted[Math.floor(0.99 * sorted.length)] ?? 0;
    return [
      ['first byte, upstream down, stored: median ms', short(median(times)), '2'],
      ['the same, p99 ms', short(p99), ''],
    ];
  } finally {
    agent.destroy();
    await astera.dispose();
  }
}

/** A cold `go mod tidy` of the large project, through Astera and without it. */
async function bytesAsked(root: string): Promise<Row[]> {
  const upstream = await UpstreamProcess.start({ root });
  const astera = await Astera.start({ upstream: upstream.url, flags: FLAGS });
  try {
    const asked: number[] = [];
    for (const proxy of [upstream.url, astera.url]) {
      await upstream.resetCounters();
      await timed(proxy, 'large', ['mod', 'tidy']);
      asked.push((await upstream.counters()).bodyBytes);
    }
    const [needed = 0, through = 0] = asked;
    return [
      ['cold tidy of the large project: MB that `go` needs', short(needed / MB), ''],
      ['MB asked of the upstream for it', short(through / MB), ''],
      ['asked over delivered', (through / needed).toFixed(3), '1; others 1.5'],
    ];
  } finally {
    await astera.dispose();
    await upstream.stop();
  }
}

/** Each command warm, then with the upstream gone in each way; a new server for each. */
async function commandsWithout(root: string, scratch: string): Promise<Row[]> {
  const rows: Row[] = [];
  const build = join(scratch, 'build');
  for (const [at, { what, args }] of commands.entries()) {
    const db = join(scratch, `${at}.db`);
    const online = await UpstreamProcess.start({ root });
    const served = async (upstream: string, times: number): Promise<number> => {
      const astera = await Astera.start({ upstream, db, flags: FLAGS });
      try {
        const took: number[] = [];
        for (let i = 0; i < times; i++) took.push(await timed(astera.url, 'small', args, { what, build }));
        return took.at(-1) ?? 0;
      } finally {
        await astera.dispose();
      }
    };
    const warm = await served(online.url, 2);
    await online.stop();
    const late: string[] = [];
    for (const [name, gone] of ways) {
      const outside = await gone();
      late.push(`${name} ${short((await served(outside.url, 1)) / 1000)}`);
      await outside.close();
    }
    const name = `go ${args.join(' ')}${what === 'imports' ? ' from imports' : ''}`;
    rows.push([`${name}: warm ${short(warm / 1000)} s`, late.join(', '), `${short(warm / 1000 + 5)}`]);
  }
  return rows;
}

const ways: readonly (readonly [string, () => Promise<Gone>])[] = [
  ['refusing', refusing],
  ['silent', silent],
  ['losing packets', blackHole],
];

const commands = [
  { what: 'whole', args: ['mod', 'tidy'] },
  { what: 'imports', args: ['mod', 'tidy'] },
  { what: 'whole', args: ['get', '-u', './...'] },
  { what: 'whole', args: ['list', '-m', '-versions', 'github.com/google/uuid'] },
  { what: 'whole', args: ['mod', 'download'] },
  { what: 'imports', args: ['install', 'github.com/BurntSushi/toml/cmd/tomlv@v1.5.0'] },
] as const;

/** Milliseconds a command takes from empty client caches. */
async function timed(
  proxy: string,
  project: Project,
  args: readonly string[],
  { what = 'whole', build }: { what?: 'whole' | 'imports'; build?: string } = {},
): Promise<number> {
  const client = await GoClient.create(proxy, build === undefined ? {} : { build });
  try {
    await client.take(project, what);
    const startedMs = performance.now();
    const { code, stderr } = await client.run(...args);
    if (code !== 0) throw new Error(`go ${args.join(' ')}: ${stderr}`);
    return performance.now() - startedMs;
  } finally {
    await client.dispose();
  }
}
