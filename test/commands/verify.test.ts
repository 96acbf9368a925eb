// Goal: `astera verify` prints one line for each bad entry, and `--repair` fetches it again, alone or beside a server.
// Method: the real program over a store that a real server filled from a made-up upstream; damage by SQL.

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { openWritable } from '../../src/store/schema.ts';
import { StoreWriter } from '../../src/store/writer.ts';
import { assertWhole, contentOf, putOutput, query, sha256Of } from '../store/stores.ts';
import { Astera, runAstera } from '../support/astera.ts';
import { LocalUpstream } from '../support/local-upstream.ts';
import { tempDir } from '../support/temp-dir.ts';

const module = { path: 'example.com/noise', version: 'v1.0.0', contentBytes: 1_500_000 };
const base = 'example.com/noise/@v/v1.0.0';
const paths = [
  `${base}.info`,
  `${base}.mod`,
  `${base}.zip`,
  'example.com/noise/@v/list',
  'example.com/none/@v/list',
];
const directory = tempDir({ after });

let upstream: LocalUpstream;
before(async () => {
  upstream = await LocalUpstream.start({ madeUp: [module] });
});
after(() => upstream.close());

const flags = ['--verify', 'off'];

/** A store of its own with the made-up module in it, its server stopped. */
async function filledStore(name: string): Promise<string> {
  mkdirSync(join(directory, name));
  const db = join(directory, name, 'a.db');
  const astera = await Astera.start({ upstream: upstream.url, db, flags });
  try {
    for (const path of paths) await (await astera.get(path)).arrayBuffer();
    await astera.stop();
  } finally {
    await astera.dispose();
  }
  return db;
}

function damage(db: string): void {
  const connection = openWritable(db);
  connection.exec(
    `UPDATE chunk SET bytes = zeroblob(length(bytes)) WHERE id = (SELECT max(id) FROM chunk);
     UPDATE entry SET body = zeroblob(length(body)) WHERE key IN ('${base}.mod', 'example.com/none/@v/list');
     INSERT INTO chunk VALUES (${2 ** 40}, x'00');`,
  );
  connection.close();
}

const badLines = [
  /^bad: blob 1048576: chunks of no blob$/m,
  /^bad: example\.com\/noise\/@v\/v1\.0\.0\.mod: has not its SHA-256$/m,
  /^bad: example\.com\/noise\/@v\/v1\.0\.0\.zip: blob \d+ has not its SHA-256$/m,
  /^bad: example\.com\/none\/@v\/list: has not its SHA-256$/m,
];

test('a whole store: one line, exit 0, nothing changed', async () => {
  const db = await filledStore('whole');
  const { code, stdout, stderr } = await runAstera(['verify', '--db', db]);
  assert.match(stdout, /^checked 5 answers, 1\.4MiB in [\d.]+s: all is well\n$/);
  assert.equal(stderr, '');
  assert.equal(code, 0);
});

test('a bad store: a line for each fault, exit 1, nothing changed', async () => {
  const db = await filledStore('bad');
  damage(db);
  const { code, stdout, stderr } = await runAstera(['verify', '--db', db]);
  for (const line of badLines) assert.match(stdout, line);
  assert.match(stdout, /: 4 faults\n$/);
  assert.match(stderr, /^astera: found 4 faults: 'astera verify --repair' [^\n]+\n$/);
  assert.equal(code, 1);
  assert.equal(query(db, 'SELECT count(*) FROM entry')[0], 5);
});

test('--repair fetches again what is bad, and only that', async () => {
  const db = await filledStore('alone');
  damage(db);
  upstream.resetCounters();
  const repaired = await runAstera(['verify', '--repair', '--db', db, '--upstream', upstream.url]);
  assert.match(repaired.stdout, /^dropped what was bad, fetched 2 answers again$/m);
  assert.equal(repaired.code, 0, repaired.stderr);
  assert.deepEqual(Object.keys(upstream.counters.requests).sort(), [`${base}.mod`, `${base}.zip`]);
  assertWhole(db);
  assert.equal((await runAstera(['verify', '--db', db])).code, 0);
});

test('--repair beside a server: its clients get the good bytes again', async () => {
  const db = await filledStore('beside');
  damage(db);
  const astera = await Astera.start({ upstream: upstream.url, db, flags });
  try {
    const repaired = await runAstera(['verify', '--repair', '--db', db]);
    assert.equal(repaired.code, 0, repaired.stderr);
    const answer = await astera.get(`${base}.mod`);
    assert.match(await answer.text(), /^module example\.com\/noise/);
    await astera.stop();
  } finally {
    await astera.dispose();
  }
  assertWhole(db);
});

for (const isServed of [false, true]) {
  test(`--repair drops what is bad of the build cache, ${isServed ? 'beside a server' : 'alone'}`, async () => {
    const db = await filledStore(`build-cache-${isServed}`);
    const writer = new StoreWriter(db);
    const outputs = [contentOf(1_000, 1), contentOf(1_000, 2), contentOf(1_000, 3)];
    outputs.forEach((bytes, seed) => {
      putOutput(writer, { bytes, blob: 900 + seed });
      const name = { namespace: '', actionId: sha256Of(contentOf(seed)) };
      writer.inTransaction(() =>
        writer.putAction({ ...name, outputId: sha256Of(bytes), time: '1', nowMs: 1 }),
      );
    });
    writer.close();
    const connection = openWritable(db);
    connection.pragma('foreign_keys = OFF');
    connection.exec(
      `UPDATE chunk SET bytes = zeroblob(1000) WHERE id >> 20 = 900;
       DELETE FROM output WHERE blob = 901; DELETE FROM chunk WHERE id >> 20 = 901; DELETE FROM blob WHERE id = 901`,
    );
    connection.close();
    const server = isServed ? await Astera.start({ upstream: upstream.url, db, flags }) : undefined;
    try {
      const bad = await runAstera(['verify', '--db', db]);
      assert.match(bad.stdout, /^bad: build output [0-9a-f]{64}: blob 900 has not its SHA-256$/m);
      assert.match(bad.stdout, /^bad: build action [0-9a-f]{64} of "": its output is not there$/m);
      const { code, stderr } = await runAstera([
        'verify',
        '--repair',
        '--db',
        db,
        '--upstream',
        upstream.url,
      ]);
      assert.equal(code, 0, stderr);
      await server?.stop();
    } finally {
      await server?.dispose();
    }
    assert.deepEqual(query(db, 'SELECT output FROM action'), [902]);
    assertWhole(db);
  });
}

test('what the upstream has no more is named, and does not stay', async () => {
  const db = await filledStore('lost');
  damage(db);
  const { code, stdout, stderr } = await runAstera(['verify', '--repair', '--offline', '--db', db]);
  assert.match(stdout, /^lost: example\.com\/noise\/@v\/v1\.0\.0\.zip: /m);
  assert.match(stderr, /^astera: cannot fetch 2 of 2 answers again: see above\n$/);
  assert.equal(code, 1);
  assertWhole(db);
});

test('without an upstream nothing is dropped', async () => {
  const db = await filledStore('no-upstream');
  damage(db);
  const { code, stderr } = await runAstera(['verify', '--repair', '--db', db, '--upstream', 'no list']);
  assert.match(stderr, /^astera: bad value for --upstream: [^\n]+\n$/);
  assert.equal(code, 2);
  assert.equal(query(db, 'SELECT count(*) FROM entry')[0], 5);
});
