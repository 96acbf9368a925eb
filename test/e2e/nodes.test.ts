// Goal: three nodes with one bucket behind a load balancer are one cache with three doors, and a node that dies takes nothing
// with it but the answers that it was sending.
// Method: real nginx with deploy/nginx-nodes.conf, real servers, a real S3 server and real `go` clients; one node gets kill -9
// while all clients download. A machine without nginx skips this.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { type Astera, total } from '../support/astera.ts';
import { startNode, uploaded } from '../support/bucket-nodes.ts';
import { BucketServer } from '../support/bucket-server.ts';
import { GoClient, type GoResult } from '../support/go.ts';
import { LocalUpstream } from '../support/local-upstream.ts';
import { hasProxy, ReverseProxy } from '../support/reverse-proxy.ts';
import { tempDir } from '../support/temp-dir.ts';

const NAME = 'goproxy.example.com';
const CLIENTS = 12;
const MODULES = Array.from({ length: 60 }, (_, i) => ({
  path: `made-up.example/m${i}`,
  version: 'v1.0.0',
  contentBytes: i % 6 === 0 ? 1_500_000 : 20_000,
}));
const NAMES = MODULES.map(({ path, version }) => `${path}@${version}`);

/** What `go` says of an answer that is cut off. */
const CUT = /unexpected EOF|connection reset|EOF$/m;

test('twelve clients at three nodes, one of them killed half-way', {
  skip: !hasProxy('nginx'),
}, async (t) => {
  const bucket = await BucketServer.start(tempDir(t));
  t.after(() => bucket.stop());
  const upstream = await LocalUpstream.start({ madeUp: MODULES, latencyMs: 5 });
  t.after(() => upstream.close());
  const start = () =>
    startNode(bucket.url, { upstream: upstream.url, flags: ['--verify=off', '--hosts', NAME] });
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
  const download = (client: GoClient): Promise<GoResult> => client.run('mod', 'download', ...NAMES);

  const running = clients.map(download);
  const [victim, ...others] = nodes as [Astera, Astera, Astera];
  while (total(await victim.metrics(), 'astera_answers_total') < 2 * NAMES.length) await delay(10);
  await victim.kill();
  const results = await Promise.all(running);
  const failed = results.filter(({ code }) => code !== 0);
  for (const { stderr } of failed) assert.match(stderr, CUT);
  // What failed goes well when it is run again: the dead node is left out.
  for (const [i, { code }] of results.entries())
    if (code !== 0) assert.equal((await download(clients[i] as GoClient)).code, 0);

  for (const node of others) await uploaded(node);
  const { requests } = upstream.counters;
  const tooOften = Object.entries(requests).filter(([, times]) => times > nodes.length);
  assert.deepEqual(tooOften, [], 'at most once for each node');

  // A node in the dead one's place, with an empty disk, needs no upstream.
  upstream.resetCounters();
  const fresh = await start();
  t.after(() => fresh.dispose());
  const client = await GoClient.create(fresh.url);
  t.after(() => client.dispose());
  const again = await download(client);
  assert.equal(again.code, 0, again.stderr);
  const asked = Object.keys(upstream.counters.requests).length;
  // Of what the dead node alone had fetched and not yet uploaded.
  assert.ok(asked < NAMES.length, `${asked} of ${3 * NAMES.length}`);
  await fresh.stop();
});
