// Goal: forty machines at once cost the line as much as one, and none of them fails.
// Method: 40 real `go mod tidy` with empty caches against an empty store, half of them from import
// lines alone, and an upstream 50 ms away that counts; then a restarted server, to count its reads.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Astera, total } from '../support/astera.ts';
import { corpusFiles, ensureCorpus } from '../support/corpus.ts';
import { GoClient } from '../support/go.ts';
import { LocalUpstream } from '../support/local-upstream.ts';

const NEGATIVE_TTL_MS = 60_000;
const CHUNK_BYTES = 256 * 1024;
const IMMUTABLE = /\/@v\/v[^/]*\.(mod|zip|info)$/;

let root: string;
let upstream: LocalUpstream;

before(async () => {
  root = await ensureCorpus();
  upstream = await LocalUpstream.start({ root, latencyMs: 50 });
});

after(() => upstream.close());

test('forty cold go mod tidy at once ask the upstream once for each key', async () => {
  const sizes = new Map(corpusFiles(root).map(({ path, size }) => [path, size]));
  const astera = await Astera.start({ upstream: upstream.url });
  try {
    const startedMs = performance.now();
    await tidyAtOnce(astera, 40);
    const ttls = 1 + Math.floor((performance.now() - startedMs) / NEGATIVE_TTL_MS);
    const { requests } = upstream.counters;
    assert.ok(Object.keys(requests).length > 100, 'the tidies came through this server');
    const tooOften = Object.entries(requests).filter(
      ([path, times]) => times > (IMMUTABLE.test(path) && sizes.has(path) ? 1 : ttls),
    );
    assert.deepEqual(tooOften, [], 'immutable keys once, lists, queries and 404s once per TTL');
    await assertReads(astera, rowsOf(Object.keys(requests), sizes));
    await astera.stop();

    const again = await Astera.start({
      upstream: upstream.url,
      db: astera.db,
      flags: ['--cache-ttl', '10m'],
    });
    try {
      await tidyAtOnce(again, 4);
      await assertReads(again, rowsOf(Object.keys(requests), sizes));
      await again.stop();
    } finally {
      await again.dispose();
    }
  } finally {
    await astera.dispose();
  }
});

/** Runs so many tidies of the small project, every second one from import lines, and expects all to do well. */
async function tidyAtOnce(astera: Astera, count: number): Promise<void> {
  const clients = await Promise.all(Array.from({ length: count }, () => GoClient.create(astera.url)));
  try {
    await Promise.all(clients.map((client, at) => client.take('small', at % 2 === 0 ? 'whole' : 'imports')));
    const results = await Promise.all(clients.map((client) => client.run('mod', 'tidy')));
    for (const { code, stderr } of results) assert.equal(code, 0, `${stderr}\n${astera.log}`);
    const left = await Promise.all(clients.map((client) => client.moduleFiles()));
    for (const [at, files] of left.entries()) assert.deepEqual(files, left[at % 2], 'all end alike');
  } finally {
    await Promise.all(clients.map((client) => client.dispose()));
  }
}

/** A key each, and a row for each chunk of what is too large to lie beside its key. */
function rowsOf(paths: readonly string[], sizes: ReadonlyMap<string, number>): number {
  return paths.reduce((rows, path) => rows + 1 + Math.ceil((sizes.get(path) ?? 0) / CHUNK_BYTES), 0);
}

async function assertReads(astera: Astera, rows: number): Promise<void> {
  const reads = total(await astera.metrics(), 'astera_store_reads_total');
  assert.ok(reads > 0 && reads <= 1.1 * rows, `${reads} reads of ${rows} distinct rows`);
}
