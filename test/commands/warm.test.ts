// Goal: every module that a project's files name is stored afterwards, and the failed ones are named.
// Method: the real command with a local upstream, by itself and through a server.

import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { assertWhole, query } from '../store/stores.ts';
import { Astera } from '../support/astera.ts';
import { AsteraCommand } from '../support/astera-command.ts';
import { LocalUpstream } from '../support/local-upstream.ts';
import { tempDir } from '../support/temp-dir.ts';

const madeUp = [
  { path: 'a.example/m', version: 'v1.0.0', contentBytes: 700_000 },
  { path: 'b.example/m', version: 'v1.0.0', contentBytes: 1_000 },
  { path: 'c.example/m', version: 'v1.0.0', contentBytes: 1_000 },
];

const SUM = 'a.example/m v1.0.0 h1:x=\na.example/m v1.0.0/go.mod h1:x=\nb.example/m v1.0.0/go.mod h1:x=\n';
const SUM_KEYS = ['a.example/m/@v/v1.0.0.info', 'a.example/m/@v/v1.0.0.mod', 'a.example/m/@v/v1.0.0.zip'];

async function rig(t: TestContext): Promise<{ upstream: LocalUpstream; directory: string; db: string }> {
  const upstream = await LocalUpstream.start({ madeUp });
  t.after(() => upstream.close());
  const directory = tempDir(t);
  return { upstream, directory, db: join(directory, 'a.db') };
}

function stored(db: string): string[] {
  return query(db, "SELECT key FROM entry WHERE status = 200 AND key NOT GLOB 'sumdb/*' ORDER BY key").map(
    String,
  );
}

test('by itself, where no server runs; run again it asks for nothing', async (t) => {
  const { upstream, directory, db } = await rig(t);
  writeFileSync(join(directory, 'go.sum'), SUM);
  const args = ['warm', '--db', db, '--upstream', upstream.url, '--verify', 'off', join(directory, 'go.sum')];
  const first = await new AsteraCommand(args).exited;
  assert.match(first.stdout, /^fetched 4 files in [0-9.]+s, 0 were stored before\n$/);
  assert.deepEqual([first.code, first.stderr], [0, '']);
  assert.deepEqual(stored(db), [...SUM_KEYS, 'b.example/m/@v/v1.0.0.mod']);
  assertWhole(db);
  const asked = Object.keys(upstream.counters.requests).length;
  const again = await new AsteraCommand(args).exited;
  assert.match(again.stdout, /^fetched 0 files in [0-9.]+s, 4 were stored before\n$/);
  assert.equal(Object.keys(upstream.counters.requests).length, asked);
});

test('through the running server, which needs no upstream of ours', async (t) => {
  const { upstream, directory } = await rig(t);
  const server = await Astera.start({ upstream: upstream.url, flags: ['--verify', 'off'] });
  t.after(() => server.dispose());
  writeFileSync(join(directory, 'go.mod'), 'require (\n\ta.example/m v1.0.0\n\tb.example/m v1.0.0\n)\n');
  const { code, stdout, stderr } = await new AsteraCommand([
    'warm',
    '--db',
    server.db,
    join(directory, 'go.mod'),
  ]).exited;
  assert.match(stdout, /^fetched 6 files/);
  assert.deepEqual([code, stderr], [0, '']);
  const asked = upstream.counters.bodyBytes;
  assert.equal((await server.get('a.example/m/@v/v1.0.0.zip')).status, 200);
  assert.equal(upstream.counters.bodyBytes, asked, 'it was there');
  await server.stop();
  assert.equal(stored(server.db).length, 6);
  assertWhole(server.db);
});

test('a workspace stands for the modules it uses; standard input for lines', async (t) => {
  const { upstream, directory, db } = await rig(t);
  mkdirSync(join(directory, 'mod'));
  writeFileSync(join(directory, 'go.work'), 'go 1.26\nuse ./mod\n');
  writeFileSync(join(directory, 'mod/go.mod'), 'module x.example/main\nrequire a.example/m v1.0.0\n');
  const args = [
    'warm',
    '--db',
    db,
    '--upstream',
    upstream.url,
    '--verify',
    'off',
    join(directory, 'go.work'),
    '-',
  ];
  const { code, stderr } = await new AsteraCommand(args, { stdin: 'c.example/m@v1.0.0\n' }).exited;
  assert.deepEqual([code, stderr], [0, '']);
  const both = [...SUM_KEYS, ...SUM_KEYS.map((key) => key.replace('a.', 'c.'))];
  assert.deepEqual(stored(db), both);
});

test('what could not be had is named, all else is fetched, and the exit code is 1', async (t) => {
  const { upstream, db } = await rig(t);
  const args = ['warm', '--db', db, '--upstream', upstream.url, '--verify', 'off', '-'];
  const lines = 'gone.example/m@v1.0.0\nb.example/m@v1.0.0\n';
  const { code, stdout, stderr } = await new AsteraCommand(args, { stdin: lines }).exited;
  assert.equal(code, 1);
  assert.match(stdout, /^fetched 3 files/);
  const named = stderr.split('\n').filter((line) => line.startsWith('failed: gone.example/m/@v/v1.0.0.'));
  assert.equal(named.length, 3, stderr);
  assert.match(stderr, /\nastera: cannot fetch 3 of 6 files\n$/);
  assert.equal(stored(db).length, 3);
});

const unreadable: { stdin: string; line: RegExp; why: string }[] = [
  { stdin: 'a.example/m latest\n', line: /not a line module@version/, why: 'no line of ours' },
  { stdin: 'a.example/m@latest\n', line: /not a canonical version: "a\.example\/m@latest"/, why: 'a query' },
  { stdin: '{"Path":', line: /not the output of go list -m -json/, why: 'half a JSON object' },
  { stdin: 'nodot@v1.0.0\n', line: /malformed module path "nodot"/, why: 'a path that is none' },
];

for (const { stdin, line, why } of unreadable) {
  test(`nothing is fetched for ${why}`, async (t) => {
    const { upstream, db } = await rig(t);
    const { code, stderr } = await new AsteraCommand(['warm', '--db', db, '--upstream', upstream.url, '-'], {
      stdin,
    }).exited;
    assert.match(stderr, /^astera: cannot read standard input: [^\n]+\n$/);
    assert.match(stderr, line);
    assert.equal(code, 1);
    assert.deepEqual(upstream.counters.requests, {});
  });
}

test('a file that is not there is named', async (t) => {
  const { code, stderr } = await new AsteraCommand(['warm', join(tempDir(t), 'go.sum')]).exited;
  assert.match(stderr, /^astera: cannot read "[^"]+go\.sum": ENOENT[^\n]+\n$/);
  assert.equal(code, 1);
});
