// Goal: a bucket behind a server: nodes share what one of them fetched, need no outside for it, and believe nothing that the
// bucket says without a check.
// Method: a real S3 server whose objects are files, real `go` clients, a made-up upstream with a real checksum database.

import assert from 'node:assert/strict';
import { cpSync, mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type Astera, total } from '../support/astera.ts';
import { pushed, startNode, uploaded } from '../support/bucket-nodes.ts';
import { BucketServer } from '../support/bucket-server.ts';
import { buildClient, built, filesIn, programHash } from '../support/cached-build.ts';
import { CHECKOUT } from '../support/corpus.ts';
import { GoClient } from '../support/go.ts';
import { refusing } from '../support/gone-upstream.ts';
import { LyingUpstream, sumLines } from '../support/lying-upstream.ts';
import { type MadeUpModule, madeUpFiles } from '../support/module-zip.ts';
import { type SumdbServer, startSumdbServer } from '../support/sumdb-server.ts';
import { tempDir } from '../support/temp-dir.ts';

const LARGE = { path: 'made-up.example/Large', version: 'v1.0.0', contentBytes: 3_000_000 };
const MODULES: readonly MadeUpModule[] = [
  LARGE,
  ...[0, 1, 2, 3].map((i) => ({ path: `made-up.example/m${i}`, version: 'v1.1.0', contentBytes: 1_000 * i })),
  { path: 'made-up.example/m0', version: 'v1.0.0', contentBytes: 10 },
  { path: 'corp.example/hidden', version: 'v1.0.0', contentBytes: 10 },
];
const NAMES = MODULES.filter(({ path }) => !path.startsWith('corp')).map(
  ({ path, version }) => `${path}@${version}`,
);

let bucket: BucketServer;
let database: SumdbServer;
let upstream: LyingUpstream;
/** Has fetched all of it, and uploaded it. */
let first: Astera;
let flags: readonly string[];
const disposers: (() => unknown)[] = [];
const suite = { after: (dispose: () => unknown) => void disposers.unshift(dispose) };

before(async () => {
  bucket = await BucketServer.start(tempDir(suite));
  suite.after(() => bucket.stop());
  database = await startSumdbServer({ records: 300 });
  suite.after(() => database.close());
  await database.ask({ Cmd: 'add', Texts: await Promise.all(MODULES.map(sumLines)) });
  upstream = await LyingUpstream.start(MODULES, { database });
  suite.after(() => upstream.close());
  flags = ['--sumdb', database.verifierKey, '--stale-wait', '100ms'];
  first = await startNode(bucket.url, { upstream: upstream.url, flags });
  suite.after(() => first.dispose());
  await downloads(first.url);
  await uploaded(first);
});

after(async () => {
  for (const dispose of disposers) await dispose();
});

async function client(url: string, env: Readonly<Record<string, string>> = {}): Promise<GoClient> {
  const go = await GoClient.create(url, { sumdb: database.verifierKey, env });
  suite.after(() => go.dispose());
  return go;
}

/** A client with empty caches downloads all modules, which it checks by the checksum database. */
async function downloads(url: string, env: Readonly<Record<string, string>> = {}): Promise<void> {
  const go = await client(url, env);
  const { code, stderr } = await go.run('mod', 'download', ...NAMES);
  assert.equal(code, 0, stderr);
}

function objectOf(key: string): string {
  return join(bucket.directory, 'mod', key);
}

test('a node with an empty disk and no outside answers all that the other one knows', async (t) => {
  const gone = await refusing();
  const node = await startNode(bucket.url, { upstream: gone.url, flags });
  t.after(() => node.dispose());
  await downloads(node.url);
  const go = await client(node.url);
  const { code, stdout, stderr } = await go.run('list', '-m', '-versions', 'made-up.example/m0');
  assert.equal(code, 0, stderr);
  assert.equal(stdout, 'made-up.example/m0 v1.0.0 v1.1.0\n');
  const latest = await go.run('list', '-m', 'made-up.example/m0@latest');
  assert.equal(latest.stdout, 'made-up.example/m0 v1.1.0\n', latest.stderr);
  const answer = await node.get('made-up.example/!large/@v/v1.0.0.zip', {
    headers: { 'cache-control': 'no-cache' },
  });
  assert.deepEqual(Buffer.from(await answer.arrayBuffer()), madeUpFiles(LARGE).zip);
  const metrics = await node.metrics();
  assert.ok((metrics.get('astera_answers_total{source="bucket"}') ?? 0) >= 3 * NAMES.length);
  assert.equal(metrics.get('astera_bucket_wrong_total'), 0);
  await node.stop();
});

test('the tree below mod/ is a proxy by itself, with its checksum database', async (t) => {
  const tree = join(tempDir(t), 'tree');
  cpSync(join(bucket.directory, 'mod'), tree, { recursive: true });
  await downloads(`file://${tree}`);
  const go = await client(`file://${tree}`);
  const { stdout, stderr } = await go.run('list', '-m', '-versions', 'made-up.example/m0');
  assert.equal(stdout, 'made-up.example/m0 v1.0.0 v1.1.0\n', stderr);
  const latest = await go.run('list', '-m', 'made-up.example/m0@latest');
  assert.equal(latest.stdout, 'made-up.example/m0 v1.1.0\n', latest.stderr);
});

test('a private module stays out of the bucket, unless --bucket-private', async (t) => {
  const run = async (more: readonly string[]) => {
    const isPrivate = ['--private', 'corp.example/*'];
    // Not through Git here: what an import brought is private all the same.
    const tree = join(tempDir(t), 'tree/corp.example/hidden/@v');
    const files = madeUpFiles(MODULES.at(-1) as MadeUpModule);
    mkdirSync(tree, { recursive: true });
    for (const [kind, bytes] of Object.entries(files)) writeFileSync(join(tree, `v1.0.0.${kind}`), bytes);
    const local = ['--import-local-cache', '--local-cache-dir', join(tree, '../../..')];
    const node = await startNode(bucket.url, {
      upstream: upstream.url,
      flags: [...flags, ...isPrivate, ...local, ...more],
    });
    t.after(() => node.dispose());
    await uploaded(node);
    await node.stop();
    return filesIn(objectOf('corp.example')).length;
  };
  assert.equal(await run([]), 0);
  assert.ok((await run(['--bucket-private'])) >= 3);
});

const SPOILED: readonly (readonly [why: string, key: string, spoil: (path: string) => void])[] = [
  [
    'an altered large zip',
    'made-up.example/!large/@v/v1.0.0.zip',
    (path) => {
      writeFileSync(path, madeUpFiles({ ...LARGE, contentBytes: 3_000_001 }).zip);
    },
  ],
  [
    'an altered small zip',
    'made-up.example/m1/@v/v1.1.0.zip',
    (path) => {
      writeFileSync(path, madeUpFiles({ ...(MODULES[2] as MadeUpModule), contentBytes: 999 }).zip);
    },
  ],
  ['a cut zip', 'made-up.example/m2/@v/v1.1.0.zip', (path) => truncateSync(path, 500)],
  [
    'garbage for a go.mod',
    'made-up.example/m3/@v/v1.1.0.mod',
    (path) => writeFileSync(path, 'module evil\n'),
  ],
  ['an empty .info', 'made-up.example/m3/@v/v1.1.0.info', (path) => truncateSync(path, 0)],
];

test('what is wrong in the bucket is refused, counted, fetched from the upstream and replaced', async (t) => {
  const right = new Map(SPOILED.map(([, key]) => [key, readFileSync(objectOf(key))]));
  for (const [, key, spoil] of SPOILED) spoil(objectOf(key));
  upstream.asked = [];
  const node = await startNode(bucket.url, { upstream: upstream.url, flags });
  t.after(() => node.dispose());
  await downloads(node.url);
  for (const [why, key] of SPOILED) assert.equal(upstream.count(key), 1, why);
  const others = upstream.asked.filter((path) => /\.(zip|mod|info)$/.test(path) && !right.has(path));
  assert.deepEqual(others, []);
  await uploaded(node);
  for (const [why, key] of SPOILED) assert.deepEqual(readFileSync(objectOf(key)), right.get(key), why);
  assert.ok(total(await node.metrics(), 'astera_bucket_wrong_total') >= SPOILED.length);
  await node.stop();
});

test('checksum files of the bucket that are forged or missing are asked of the upstream', async (t) => {
  for (const path of filesIn(objectOf('sumdb'))) writeFileSync(path, readFileSync(path).reverse());
  upstream.asked = [];
  const node = await startNode(bucket.url, { upstream: upstream.url, flags });
  t.after(() => node.dispose());
  await downloads(node.url);
  assert.ok(upstream.count(/^sumdb\/.*\/(lookup|tile)/) > NAMES.length);
  await node.stop();
});

test('two machines at two nodes share a build cache, whose wrong outputs are replaced', async (t) => {
  const program = (node: Astera) =>
    `${process.execPath} ${join(CHECKOUT, 'dist/cacheprog.mjs')} --remote=${node.url} --cache-dir=${tempDir(t)} --remote-timeout=10s`;
  const at = async (node: Astera) => {
    const go = await buildClient({ program: program(node) });
    t.after(() => go.dispose());
    const { stderr } = await built(go, '-x');
    return { hash: programHash(go), compiles: stderr.match(/\/compile /g)?.length ?? 0 };
  };
  const cold = await at(first);
  assert.ok(cold.compiles > 20);
  await pushed(first);
  const outputs = filesIn(join(bucket.directory, 'output'));
  const second = await startNode(bucket.url, { upstream: upstream.url, flags });
  t.after(() => second.dispose());
  assert.deepEqual(await at(second), { hash: cold.hash, compiles: 0 });
  await second.stop();

  // Packs hold the same outputs.
  rmSync(join(bucket.directory, 'pack'), { recursive: true });
  const spoiled = outputs.filter((path) => readFileSync(path).length > 100_000);
  const right = spoiled.map((path) => readFileSync(path));
  for (const path of spoiled) writeFileSync(path, Buffer.from(readFileSync(path)).fill(0, 500, 600));
  const third = await startNode(bucket.url, { upstream: upstream.url, flags });
  t.after(() => third.dispose());
  const again = await at(third);
  assert.equal(again.hash, cold.hash);
  assert.ok(again.compiles > 0 && again.compiles <= spoiled.length, `${again.compiles} of ${spoiled.length}`);
  await pushed(third);
  assert.deepEqual(
    spoiled.map((path) => readFileSync(path)),
    right,
  );
  await third.stop();
});
