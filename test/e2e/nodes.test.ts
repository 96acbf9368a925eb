// Goal: three nodes with one bucket behind a load balancer are one cache with three doors, and a node that dies takes nothing
// with it but the answers that it was sending: no other build fails, and none fails twice.
// Method: real nginx with deploy/nginx-nodes.conf, real servers, a real S3 server, and real `go mod tidy` of a real project, with
// empty caches. One node gets kill -9 while all of them run and a zip is half-way. nginx says which answers were cut off; all that
// had not begun it asks of another node. A machine without nginx skips this.

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { type Astera, total } from '../support/astera.ts';
import { startNode, uploaded } from '../support/bucket-nodes.ts';
import { BucketServer } from '../support/bucket-server.ts';
import { ensureCorpus } from '../support/corpus.ts';
import { GoClient, type GoResult } from '../support/go.ts';
import { LocalUpstream } from '../support/local-upstream.ts';
import { hasProxy, ReverseProxy } from '../support/reverse-proxy.ts';
import { tempDir } from '../support/temp-dir.ts';
import { times } from '../support/times.ts';

const NAME = 'goproxy.example.com';
const CLIENTS = times({ short: 16, long: 40 });
/** The killed node has answered so many requests: each client asks for 80 at least. */
const ANSWERS_BEFORE = 8 * CLIENTS;
/** Is on its way from each node at the kill: more than the 256 KiB that are answered in one piece. */
const HELD = { path: 'go.uber.org/zap/@v/v1.28.0.zip', afterBytes: 280_000 };
/** What the project imports in the normal run: 12 zips, in the place of 59, which take a client 7 s of CPU. */
const FEW = [
  ...['BurntSushi/toml', 'go-chi/chi/v5', 'google/uuid', 'gorilla/websocket', 'spf13/cobra'].map(
    (name) => `github.com/${name}`,
  ),
  'go.uber.org/zap',
];
const IMMUTABLE = /\/@v\/v[^/]*\.(mod|zip|info)$/;
/** Lists and queries are asked once too. */
const FLAGS = ['--verify=off', '--hosts', NAME, '--list-ttl=1h', '--negative-ttl=1h'];

/** What `go` says of an answer that is cut off. */
const CUT = /unexpected EOF|connection reset|EOF$/m;

/** Every second one has to find the newest versions of what it imports. */
async function take(client: GoClient, at: number): Promise<void> {
  const isLong = CLIENTS === 40;
  await client.take('small', isLong && at % 2 === 1 ? 'imports' : 'whole');
  if (isLong) return;
  const imports = FEW.map((name) => `import _ "${name}"\n`).join('');
  await writeFile(join(client.project, 'main.go'), `package main\n\n${imports}\nfunc main() {}\n`);
  if (at % 2 === 0) return;
  const { mod } = await client.moduleFiles();
  // The others stay: their requirements name versions that the corpus has.
  const lines = mod.split('\n').filter((line) => !FEW.some((name) => line.includes(`${name} v`)));
  await writeFile(join(client.project, 'go.mod'), lines.join('\n'));
  await rm(join(client.project, 'go.sum'));
}

function tidies(clients: readonly GoClient[]): Promise<GoResult[]> {
  return Promise.all(clients.map((client) => client.run('mod', 'tidy')));
}

test(`${CLIENTS} go mod tidy at three nodes, one of them killed half-way`, {
  skip: !hasProxy('nginx'),
}, async (t) => {
  const bucket = await BucketServer.start(tempDir(t));
  t.after(() => bucket.stop());
  const upstream = await LocalUpstream.start({ root: await ensureCorpus(), latencyMs: 5 });
  t.after(() => upstream.close());
  const start = () => startNode(bucket.url, { upstream: upstream.url, flags: FLAGS });
  const nodes = await Promise.all([start(), start(), start()]);
  for (const node of nodes) t.after(() => node.dispose());
  const edits = nodes.map((node, i) => ({
    from: `server astera-${i + 1}.corp.example:8080`,
    to: `server ${new URL(node.url).host}`,
  }));
  const proxy = await ReverseProxy.start('nginx', 'http://127.0.0.1:1', edits, 'nginx-nodes.conf');
  t.after(() => proxy.stop());
  const clients = await Promise.all(Array.from({ length: CLIENTS }, () => GoClient.create(proxy.url)));
  for (const client of clients) t.after(() => client.dispose());
  await Promise.all(clients.map(take));

  const release = upstream.hold(HELD.path, HELD.afterBytes);
  const running = tidies(clients);
  const [victim, ...others] = nodes as [Astera, Astera, Astera];
  while (
    upstream.count(HELD.path) < nodes.length ||
    total(await victim.metrics(), 'astera_answers_total') < ANSWERS_BEFORE
  )
    await delay(10);
  await victim.kill();
  release();
  const results = await running;
  const failed = clients.filter((_, i) => results[i]?.code !== 0);
  for (const { code, stderr } of results) if (code !== 0) assert.match(stderr, CUT);
  const dead = new URL(victim.url).host;
  const told = proxy.log.split('\n').filter((line) => line.includes(dead));
  const cut = told.filter((line) => / while reading upstream,/.test(line)).length;
  t.diagnostic(
    `${failed.length} failed, of ${told.length} requests that the dead node failed ${cut} were cut off`,
  );
  assert.ok(told.length > 0, 'the node was in use');
  assert.ok(failed.length <= cut, `${failed.length} failed, ${cut} answers were cut off: ${proxy.log}`);
  for (const { code, stderr } of await tidies(failed)) assert.equal(code, 0, stderr);
  const files = await Promise.all(clients.map((client) => client.moduleFiles()));
  for (const [at, left] of files.entries()) assert.deepEqual(left, files[at % 2], 'all end alike');

  for (const node of others) await uploaded(node);
  const { requests } = upstream.counters;
  const tooOften = Object.entries(requests).filter(([, count]) => count > nodes.length);
  assert.deepEqual(tooOften, [], 'at most once for each node');

  // A node in the dead one's place, with an empty disk, asks the upstream only for what the bucket lacks: what the dead one alone
  // had fetched and not yet uploaded.
  const lacking = (path: string) => !existsSync(join(bucket.directory, 'mod', path));
  const wanted = Object.keys(requests).filter((path) => IMMUTABLE.test(path));
  const allowed = new Set(wanted.filter(lacking));
  assert.ok(allowed.size < wanted.length / 2, `${allowed.size} of ${wanted.length}`);
  upstream.resetCounters();
  const fresh = await start();
  t.after(() => fresh.dispose());
  const client = await GoClient.create(fresh.url);
  t.after(() => client.dispose());
  await take(client, 0);
  for (const { code, stderr } of await tidies([client])) assert.equal(code, 0, stderr);
  const asked = Object.keys(upstream.counters.requests).filter((path) => IMMUTABLE.test(path));
  assert.deepEqual(
    asked.filter((path) => !allowed.has(path)),
    [],
  );
  await fresh.stop();
});
