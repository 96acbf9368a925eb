// Question: what does a fresh node behind a bucket cost a client against a warm one, and does uploading slow answers?
// Method: real `go mod download`s of the large project with empty client caches, at a warm node and at a fresh one in turns, both
// with one S3 server (versitygw) on loopback; medians. Then a store of the whole corpus whose files all wait: small files and zips
// are asked for one by one while the bucket is gone, while the pump works at its own rate, and when all is uploaded.
// All of it, the S3 server too, shares the machine's cores.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type Astera, runAstera, total } from '../test/support/astera.ts';
import { startNode, uploaded } from '../test/support/bucket-nodes.ts';
import { BucketServer } from '../test/support/bucket-server.ts';
import { corpusFiles, ensureCorpus, projectDirectory } from '../test/support/corpus.ts';
import { freePort } from '../test/support/free-port.ts';
import { GoClient } from '../test/support/go.ts';
import { UpstreamProcess } from '../test/support/upstream-process.ts';
import type { BenchOptions } from './support/bench-options.ts';
import { cpuMs } from './support/process-cost.ts';
import { median, short, type Table } from './support/table.ts';

const ASKS = 400;

export async function run({ isQuick }: BenchOptions): Promise<Table> {
  const root = await ensureCorpus();
  const directory = mkdtempSync(join(tmpdir(), 'astera-bench-bucket-'));
  const upstream = await UpstreamProcess.start({ root });
  try {
    const fresh = await downloads(directory, upstream.url, isQuick ? 1 : 5);
    const { before, during, after, upload } = await whileUploading(directory, upstream.url, root);
    return {
      title: 'A bucket behind the server',
      note: 'Downloads: wall seconds of the client, CPU seconds of the server. Answers: ms for each, p50 and p90.',
      columns: ['what', '', 'ratio', 'goal'],
      rows: [
        [
          '`go mod download`, warm node',
          `${short(fresh.warm.s)} s, ${short(fresh.warm.cpuS)} CPU s`,
          '1',
          '',
        ],
        [
          '`go mod download`, fresh node, all in the bucket',
          `${short(fresh.fresh.s)} s, ${short(fresh.fresh.cpuS)} CPU s`,
          short(fresh.fresh.s / fresh.warm.s),
          'at most 1.3',
        ],
        ['answers, bucket gone', told(before), '1', ''],
        ['answers, uploading', told(during), short(during.p50 / before.p50), 'at most 1.05'],
        ["uploading all of it: the server's CPU, ms a MB and ms an object", upload, '', ''],
        ['answers, all uploaded', told(after), short(after.p50 / before.p50), ''],
      ],
    };
  } finally {
    await upstream.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

type Cost = { readonly s: number; readonly cpuS: number };

async function downloads(
  directory: string,
  upstream: string,
  rounds: number,
): Promise<{ warm: Cost; fresh: Cost }> {
  const bucket = await BucketServer.start(join(directory, 'shared'));
  const start = () => startNode(bucket.url, { upstream, flags: ['--verify=off'] });
  const warm = await start();
  try {
    await downloadAt(warm);
    await uploaded(warm);
    const [warmCosts, freshCosts]: [Cost[], Cost[]] = [[], []];
    for (let round = 0; round < rounds; round++) {
      warmCosts.push(await downloadAt(warm));
      const node = await start();
      freshCosts.push(await downloadAt(node).finally(() => node.dispose()));
    }
    return { warm: middle(warmCosts), fresh: middle(freshCosts) };
  } finally {
    await warm.dispose();
    await bucket.stop();
  }
}

function middle(costs: readonly Cost[]): Cost {
  return { s: median(costs.map(({ s }) => s)), cpuS: median(costs.map(({ cpuS }) => cpuS)) };
}

async function downloadAt(node: Astera): Promise<Cost> {
  const client = await GoClient.create(node.url);
  try {
    await client.takeFrom(projectDirectory('large'));
    const cpuBefore = cpuMs([node.pid]);
    const startedMs = performance.now();
    const { code, stderr } = await client.run('mod', 'download');
    if (code !== 0) throw new Error(stderr);
    return { s: (performance.now() - startedMs) / 1000, cpuS: (cpuMs([node.pid]) - cpuBefore) / 1000 };
  } finally {
    await client.dispose();
  }
}

type Answers = { readonly p50: number; readonly p90: number; readonly rest: string };

function told({ p50, p90, rest }: Answers): string {
  return `${short(p50)}, ${short(p90)}${rest}`;
}

async function whileUploading(
  directory: string,
  upstream: string,
  root: string,
): Promise<{ before: Answers; during: Answers; after: Answers; upload: string }> {
  const port = await freePort();
  const db = join(directory, 'full.db');
  const node = await startNode(`http://127.0.0.1:${port}`, { upstream, db, flags: ['--verify=off'] });
  let bucket: BucketServer | undefined;
  try {
    const { code, stderr } = await runAstera(['import', root, '--db', db]);
    if (code !== 0) throw new Error(stderr);
    const paths = corpusFiles(root)
      .filter(({ size }) => size < 1_000_000)
      .map(({ path }) => path);
    const before = await ask(node, paths, 0);
    bucket = await BucketServer.start(join(directory, 'empty'), port);
    while (total(await node.metrics(), 'astera_bucket_uploads_total') === 0) await delay(20);
    const [fromMs, had] = [
      performance.now(),
      total(await node.metrics(), 'astera_bucket_upload_bytes_total'),
    ];
    const during = await ask(node, paths, 2);
    const metrics = await node.metrics();
    const rate =
      (total(metrics, 'astera_bucket_upload_bytes_total') - had) / (performance.now() - fromMs) / 1000;
    if (total(metrics, 'astera_bucket_queue_length') === 0)
      throw new Error('uploaded before it was measured');
    const cpuBefore = cpuMs([node.pid]);
    await uploaded(node);
    const upload = costOf(cpuMs([node.pid]) - cpuBefore, metrics, await node.metrics());
    const after = await ask(node, paths, 4);
    return { before, upload, after, during: { ...during, rest: `, at ${short(rate)} MB/s` } };
  } finally {
    await node.dispose();
    await bucket?.stop();
  }
}

/** Looks at the metrics cost some of it. */
function costOf(cpu: number, from: Metrics, to: Metrics): string {
  const of = (name: string) => total(to, name) - total(from, name);
  const bytes = of('astera_bucket_upload_bytes_total');
  return `${short(cpu / (bytes / 1e6))}, ${short(cpu / of('astera_bucket_uploads_total'))}`;
}

type Metrics = Awaited<ReturnType<Astera['metrics']>>;

/** Asks for files that are spread over all, one after the other, each for the first time. */
async function ask(node: Astera, paths: readonly string[], from: number): Promise<Answers> {
  const times: number[] = [];
  const step = Math.floor(paths.length / ASKS);
  for (let i = 0; i < ASKS; i++) {
    const path = paths[(from + i * step) % paths.length] ?? '';
    const startedMs = performance.now();
    const answer = await node.get(path);
    await answer.arrayBuffer();
    times.push(performance.now() - startedMs);
  }
  times.sort((a, b) => a - b);
  return { p50: times[Math.floor(ASKS * 0.5)] ?? 0, p90: times[Math.floor(ASKS * 0.9)] ?? 0, rest: '' };
}
