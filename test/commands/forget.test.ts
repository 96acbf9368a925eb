// Goal: a forgotten module is fetched again, and nothing else is touched.
// Method: the real command on a made-up store, alone and beside a server.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { StoreWriter } from '../../src/store/writer.ts';
import { assertWhole, contentOf, grow, put, putOutput, query, sha256Of } from '../store/stores.ts';
import { Astera, runAstera } from '../support/astera.ts';
import { mainEntry } from '../support/entry.ts';
import { tempDir } from '../support/temp-dir.ts';

const MAIN = mainEntry();
const M = 'a.example/m';
const ZIP = 300_000;

/** 200s, 404s and partial downloads of a module, of one below it and of one beside it. */
function storeOf(t: TestContext): string {
  const db = join(tempDir(t), 'a.db');
  const writer = new StoreWriter(db);
  let blob = 1;
  const file = (key: string, bytes = contentOf(20, blob), status = 200) =>
    put(writer, { key, bytes, status, blob: blob++, nowMs: Date.now() });
  for (const version of ['v1.0.0', 'v1.0.0-rc.1', 'v1.1.0']) {
    file(`${M}/@v/${version}.info`, Buffer.from(JSON.stringify({ Version: version })));
    file(`${M}/@v/${version}.mod`, Buffer.from(`module ${M}\n`));
    file(`${M}/@v/${version}.zip`, contentOf(ZIP, blob));
  }
  file(`${M}/@v/list`, Buffer.from('v1.0.0\nv1.1.0\n'));
  file(`${M}/@v/main.info`, contentOf(20), 404);
  file(`${M}/@latest`, contentOf(20), 410);
  file(`${M}/sub/@v/v1.0.0.mod`);
  file(`${M}-other/@v/v1.0.0.mod`);
  file(`b.example/twin/@v/v1.0.0.zip`, contentOf(ZIP, 3));
  grow(writer, { key: `${M}/@v/v1.2.0.zip`, blob: blob++, chunks: [contentOf(262_144)] });
  grow(writer, { key: `import:${M}/@v/v1.3.0.zip`, blob: blob++, chunks: [contentOf(262_144)] });
  writer.close();
  return db;
}

function keysOf(db: string): string[] {
  return query(
    db,
    'SELECT key FROM entry UNION SELECT growing_key FROM blob WHERE growing_key IS NOT NULL',
  ).map(String);
}

const cases: { name: string; says: string; goes: (key: string) => boolean; why: string }[] = [
  {
    name: M,
    says: `${M}: forgot 10 files (879KiB), 2 404s, 2 partial downloads\n`,
    goes: (key) => key.includes(`${M}/@`),
    why: 'a module, and none below or beside it',
  },
  {
    name: `${M}@v1.0.0`,
    says: `${M}@v1.0.0: forgot 3 files (293KiB), 0 404s, 0 partial downloads\n`,
    goes: (key) => /^a\.example\/m\/@v\/v1\.0\.0\.(info|mod|zip)$/.test(key),
    why: 'one version, not those whose names begin so',
  },
  {
    name: `${M}@main`,
    says: `${M}@main: forgot 0 files (0B), 1 404s, 0 partial downloads\n`,
    goes: (key) => key.endsWith('main.info'),
    why: 'the 404 of a branch',
  },
  {
    name: `${M}@v1.2.0`,
    says: `${M}@v1.2.0: forgot 0 files (0B), 0 404s, 1 partial downloads\n`,
    goes: (key) => key.endsWith('v1.2.0.zip'),
    why: 'a partial download',
  },
  {
    name: `${M}@v1.3.0`,
    says: `${M}@v1.3.0: forgot 0 files (0B), 0 404s, 1 partial downloads\n`,
    goes: (key) => key.endsWith('v1.3.0.zip'),
    why: 'what a broken import left',
  },
];

for (const { name, says, goes, why } of cases) {
  test(`forget ${name}: ${why}`, async (t) => {
    const db = storeOf(t);
    const before = keysOf(db);
    const { code, stdout, stderr } = await runAstera(['forget', '--db', db, name]);
    assert.deepEqual({ code, stdout, stderr }, { code: 0, stdout: says, stderr: '' });
    assert.deepEqual(
      keysOf(db),
      before.filter((key) => !goes(key)),
    );
    assertWhole(db);
  });
}

test('a body that another key has stays', async (t) => {
  const db = storeOf(t);
  await runAstera(['forget', '--db', db, M]);
  assert.deepEqual(query(db, 'SELECT size FROM blob'), [ZIP], "the twin's");
});

test('of several names each has its line; exit 1 where nothing is stored of any', async (t) => {
  const db = storeOf(t);
  const some = await runAstera(['forget', '--db', db, `${M}/sub`, 'none.example/x']);
  assert.match(
    some.stdout,
    /^a\.example\/[^\n]+: forgot [^\n]+\nnone\.example\/x: nothing is stored of it\n$/,
  );
  assert.equal(some.code, 0);
  const none = await runAstera(['forget', '--db', db, 'none.example/x', `${M}@v9.9.9`]);
  assert.equal(none.stderr, `astera: cannot forget none.example/x ${M}@v9.9.9: nothing is stored of it\n`);
  assert.deepEqual([none.code, none.stdout], [1, '']);
});

for (const name of ['nodot', 'a.example/', 'a.example/m@', 'a.example/m@v1@v2', 'a.example/m@../x']) {
  test(`wrong usage: forget ${JSON.stringify(name)}`, async (t) => {
    const { code, stderr } = await runAstera(['forget', '--db', join(tempDir(t), 'a.db'), name]);
    assert.match(stderr, /^astera: cannot forget "[^\n]+": expected MODULE or MODULE@VERSION: [^\n]+\n$/);
    assert.equal(code, 2);
  });
}

/** Outputs of two namespaces in a store that has modules too. */
function withBuildCache(db: string): void {
  const writer = new StoreWriter(db);
  for (const [seed, namespace] of ['', 'ci'].entries()) {
    const bytes = contentOf(1_000, 200 + seed);
    putOutput(writer, { bytes, blob: 200 + seed });
    const name = { namespace, actionId: sha256Of(contentOf(1)) };
    writer.inTransaction(() => writer.putAction({ ...name, outputId: sha256Of(bytes), time: '1', nowMs: 1 }));
  }
  writer.close();
}

for (const isServed of [false, true]) {
  test(`forget --build-cache drops all of it and nothing else, ${isServed ? 'beside a server' : 'alone'}`, async (t) => {
    const db = storeOf(t);
    const before = keysOf(db);
    const blobs = query(db, 'SELECT id FROM blob');
    withBuildCache(db);
    const server = isServed ? await Astera.start({ upstream: 'off', db }) : undefined;
    t.after(() => server?.dispose());
    const { code, stdout, stderr } = await runAstera(['forget', '--db', db, '--build-cache']);
    const says = 'build cache: forgot 2 actions, 2 outputs (2KiB)\n';
    assert.deepEqual({ code, stdout, stderr }, { code: 0, stdout: says, stderr: '' });
    await server?.stop();
    assert.deepEqual(keysOf(db), before);
    assert.deepEqual(query(db, 'SELECT id FROM blob'), blobs);
    assertWhole(db);
  });
}

/** A store with two databases, whose names begin alike, and what the first one judged. */
function withSumdb(t: TestContext): string {
  const db = join(tempDir(t), 'a.db');
  const writer = new StoreWriter(db);
  writer.inTransaction(() => writer.confirmBy({ signer: 'sum.example+abcd', row: 0 }));
  for (const name of ['sum.example', 'sum.example/other']) {
    for (const file of ['latest', 'lookup/a.example/m@v1.0.0', 'tile/8/0/000', 'tile/8/data/000.p/7']) {
      put(writer, { key: `sumdb/${name}/${file}`, bytes: contentOf(20) });
    }
  }
  for (const trust of ['confirmed', 'unconfirmed', 'unchecked'] as const) {
    writer.inTransaction(() =>
      writer.putEntry({
        ...{ key: `a.example/${trust}/@v/v1.0.0.mod`, status: 200, source: 'upstream', nowMs: 1, blob: 0 },
        ...{ bytes: contentOf(20), checked: { h1: 'h1:x', trust } },
      }),
    );
  }
  writer.close();
  return db;
}

const trusts = (db: string) =>
  query(db, "SELECT trust || coalesce(h1, '') FROM entry WHERE kind = 'mod' ORDER BY key");

test('forget --sumdb drops the files of that database alone, and its verdicts', async (t) => {
  const db = withSumdb(t);
  const { code, stdout, stderr } = await runAstera(['forget', '--db', db, '--sumdb', 'sum.example', '--yes']);
  const says = 'sum.example: forgot 4 files; 2 zips and go.mod files are unchecked again\n';
  assert.deepEqual({ code, stdout, stderr }, { code: 0, stdout: says, stderr: '' });
  assert.deepEqual(trusts(db), ['uncheckedh1:x', 'uncheckedh1:x', 'uncheckedh1:x']);
  const left = keysOf(db).filter((key) => key.startsWith('sumdb/'));
  assert.equal(left.length, 4);
  assert.ok(left.every((key) => key.startsWith('sumdb/sum.example/other/')));
  assertWhole(db);
});

test('forget --sumdb leaves the verdicts of another database', async (t) => {
  const db = withSumdb(t);
  const other = await runAstera(['forget', '--db', db, '--sumdb', 'sum.example/other', '--yes']);
  assert.match(other.stdout, /^sum\.example\/other: forgot 4 files; 0 zips/);
  assert.deepEqual(trusts(db), ['confirmedh1:x', 'uncheckedh1:x', 'unconfirmedh1:x']);
  const none = await runAstera(['forget', '--db', db, '--sumdb', 'none.example', '--yes']);
  assert.equal(
    none.stderr,
    'astera: cannot forget checksum database none.example: nothing is stored of it\n',
  );
  assert.equal(none.code, 1);
});

test('forget --sumdb asks on a terminal, and takes only yes for yes', async (t) => {
  const db = withSumdb(t);
  const node = `${JSON.stringify(process.execPath)} --disable-warning=ExperimentalWarning`;
  const line = `${node} ${JSON.stringify(MAIN)} forget --db ${JSON.stringify(db)} --sumdb sum.example`;
  for (const [answer, isDone] of [
    ['n\n', false],
    ['\n', false],
    ['\x04', false],
    ['y\n', true],
  ] as const) {
    const child = spawn('script', ['-qec', line, '/dev/null'], { stdio: 'pipe' });
    t.after(() => child.kill());
    let said = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      if (!said.includes('[y/N]') && (said + text).includes('[y/N]')) child.stdin.write(answer);
      said += text;
    });
    const [code] = (await once(child, 'close')) as [number];
    assert.match(said, /^Forget the checksum database sum\.example\? /);
    assert.equal(code, isDone ? 0 : 1, said);
    assert.equal(trusts(db).includes('confirmedh1:x'), !isDone, JSON.stringify(answer));
  }
});

test('wrong usage: forget --sumdb without a terminal, or with what is no name', async (t) => {
  const db = withSumdb(t);
  for (const args of [['sum.example'], ['../x', '--yes'], ['', '--yes']]) {
    const { code, stderr } = await runAstera(['forget', '--db', db, '--sumdb', ...args]);
    assert.match(
      stderr,
      /^astera: (there is no terminal to ask on: add --yes|bad value for --sumdb: [^\n]+)\n$/,
    );
    assert.equal(code, 2);
  }
  assert.equal(trusts(db)[0], 'confirmedh1:x');
});

test('wrong usage: forget without anything to forget', async (t) => {
  const { code, stderr } = await runAstera(['forget', '--db', join(tempDir(t), 'a.db')]);
  assert.match(
    stderr,
    /^astera: forget needs modules, --sumdb or --build-cache: see 'astera forget --help'\n$/,
  );
  assert.equal(code, 2);
});

test('beside a server it is gone from its memory too', async (t) => {
  const db = storeOf(t);
  const server = await Astera.start({ upstream: 'off', db, flags: ['--offline', '--verify', 'off'] });
  t.after(() => server.dispose());
  const status = async (key: string) => (await server.get(key)).status;
  const [mod, zip] = [`${M}/@v/v1.0.0.mod`, `${M}/@v/v1.0.0.zip`];
  assert.deepEqual([await status(mod), await status(zip)], [200, 200]);
  const { code, stdout } = await runAstera(['forget', '--db', db, M]);
  assert.match(stdout, /forgot 10 files/);
  assert.equal(code, 0);
  assert.deepEqual([await status(mod), await status(zip)], [404, 404]);
  assert.equal(await status(`${M}/sub/@v/v1.0.0.mod`), 200);
  await server.stop();
  assertWhole(db);
});
