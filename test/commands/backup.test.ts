// Goal: a backup made beside a busy server can take the store's place, and no command destroys what it was not told to.
// Method: the real commands and a real server on a store that was filled before.

import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { StoreWriter } from '../../src/store/writer.ts';
import { assertWhole, contentOf, put } from '../store/stores.ts';
import { Astera, runAstera } from '../support/astera.ts';
import { dumpStore } from '../support/dump-store.ts';
import { tempDir } from '../support/temp-dir.ts';

function storeOf(t: TestContext, module = 'a.example/m') {
  const directory = tempDir(t);
  const db = join(directory, 'a.db');
  const writer = new StoreWriter(db);
  put(writer, { key: `${module}/@v/v1.0.0.mod`, bytes: Buffer.from(`module ${module}\n`) });
  put(writer, { key: `${module}/@v/v1.0.0.zip`, bytes: contentOf(700_000), blob: 1 });
  writer.close();
  return { directory, db, file: join(directory, 'a.backup') };
}

test('a backup made beside a server is restored in the place of another store', async (t) => {
  const { directory, db, file } = storeOf(t);
  const server = await Astera.start({ upstream: 'off', db });
  t.after(() => server.dispose());
  const made = await runAstera(['backup', '--db', db, file]);
  assert.match(made.stdout, /^wrote "[^"]+a\.backup": [\d.]+[KM]iB in [\d.]+s\n$/);
  assert.deepEqual([made.code, made.stderr], [0, '']);

  const used = await runAstera(['restore', '--db', db, '--yes', file]);
  assert.match(used.stderr, /another astera is using it; stop that one/);
  assert.equal(used.code, 1);
  await server.stop();
  const stored = dumpStore(db);

  const other = storeOf(t, 'b.example/other').db;
  const done = await runAstera(['restore', '--db', other, '--yes', file]);
  assert.match(done.stdout, /^restored "[^"]+": [\d.]+[KM]iB in [\d.]+s\n$/);
  assert.deepEqual(dumpStore(other), stored);
  assertWhole(other);

  const again = await Astera.start({ upstream: 'off', db: other });
  t.after(() => again.dispose());
  const answer = await fetch(`${again.url}/a.example/m/@v/v1.0.0.mod`);
  assert.equal(await answer.text(), 'module a.example/m\n');
  const fresh = join(directory, 'fresh.db');
  const first = await runAstera(['restore', '--db', fresh, file]);
  assert.deepEqual([first.code, first.stderr], [0, ''], 'no store is replaced, so nobody needs to be asked');
});

test('a second backup takes the place of the first', async (t) => {
  const { db, file } = storeOf(t);
  await runAstera(['backup', '--db', db, file]);
  const writer = new StoreWriter(db);
  put(writer, { key: 'b.example/new/@v/v1.0.0.mod', bytes: Buffer.from('module b.example/new\n') });
  writer.close();
  assert.equal((await runAstera(['backup', '--db', db, file])).code, 0);
  assert.deepEqual(dumpStore(file), dumpStore(db));
});

const refusals: {
  name: string;
  args: (paths: ReturnType<typeof storeOf>) => string[];
  says: RegExp;
  code: number;
}[] = [
  {
    name: 'a backup over a file of another kind',
    args: ({ db, file }) => {
      writeFileSync(file, 'my thesis');
      return ['backup', '--db', db, file];
    },
    says: /^astera: cannot write backup "[^"]+": something that is no backup has this name; name another file\n$/,
    code: 1,
  },
  {
    name: 'a backup over the store itself',
    args: ({ db }) => ['backup', '--db', db, db],
    says: /^astera: cannot write backup "[^"]+": it is the store itself; name another file\n$/,
    code: 1,
  },
  {
    name: 'a backup into a directory that is not there',
    args: ({ db, directory }) => ['backup', '--db', db, join(directory, 'none', 'a.backup')],
    says: /^astera: cannot write backup "[^"]+": there is no directory "[^"]+none"; make it\n$/,
    code: 1,
  },
  {
    name: 'a backup of no store',
    args: ({ directory, file }) => ['backup', '--db', join(directory, 'none.db'), file],
    says: /^astera: cannot open store "[^"]+none\.db": there is no such file/,
    code: 1,
  },
  {
    name: 'a backup without a file',
    args: ({ db }) => ['backup', '--db', db],
    says: /^astera: [^\n]+\n$/,
    code: 2,
  },
  {
    name: 'to restore a file that is not there',
    args: ({ db, file }) => ['restore', '--db', db, '--yes', file],
    says: /^astera: cannot restore "[^"]+": there is no such file\n$/,
    code: 1,
  },
  {
    name: 'to restore a file of another kind',
    args: ({ db, file }) => {
      writeFileSync(file, 'my thesis');
      return ['restore', '--db', db, '--yes', file];
    },
    says: /^astera: cannot restore "[^"]+": it is no backup\n$/,
    code: 1,
  },
  {
    name: 'to restore the store itself',
    args: ({ db }) => ['restore', '--db', db, '--yes', db],
    says: /^astera: cannot restore "[^"]+": it is the store itself\n$/,
    code: 1,
  },
  {
    name: 'to replace a store unasked',
    args: ({ db, file }) => {
      writeFileSync(file, readFileSync(db));
      return ['restore', '--db', db, file];
    },
    says: /^astera: there is no terminal to ask on: add --yes\n$/,
    code: 2,
  },
];

for (const { name, args, says, code } of refusals) {
  test(`it is refused: ${name}`, async (t) => {
    const paths = storeOf(t);
    const stored = dumpStore(paths.db);
    const command = args(paths);
    const before = existsSync(paths.file) ? readFileSync(paths.file) : undefined;
    const exit = await runAstera(command);
    assert.match(exit.stderr, says);
    assert.deepEqual([exit.code, exit.stdout], [code, '']);
    assert.deepEqual(dumpStore(paths.db), stored);
    assert.deepEqual(existsSync(paths.file) ? readFileSync(paths.file) : undefined, before);
  });
}
