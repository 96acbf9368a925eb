// Goal: a command given a store it can't use says so in one line, and leaves the file as it was.
// Method: every command that has a store with every wrong one; the bytes before and after.

import assert from 'node:assert/strict';
import {
  chmodSync,
  chownSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { StoreWriter } from '../../src/store/writer.ts';
import { contentOf, earlierSchemas, execute, put, takeBack } from '../store/stores.ts';
import { Astera } from '../support/astera.ts';
import { AsteraCommand } from '../support/astera-command.ts';
import { writeDownloadCache } from '../support/download-cache.ts';
import { tempDir } from '../support/temp-dir.ts';

/** A user who is somebody else. */
const NOBODY = 65_534;

function makeStore(path: string): void {
  const writer = new StoreWriter(path);
  for (let i = 1; i < 20; i++)
    put(writer, { key: `m${i}.example/@v/v1.0.0.zip`, bytes: contentOf(100_000, i), blob: i });
  writer.checkpoint({ truncate: true });
  writer.close();
}

const wrong: {
  why: string;
  make: (path: string) => void;
  line: RegExp;
  isForRoot?: true;
}[] = [
  { why: 'a directory', make: (path) => mkdirSync(path), line: /cannot open store "[^"]+"/ },
  { why: 'an empty file', make: (path) => writeFileSync(path, ''), line: /the file is empty/ },
  {
    why: 'a text',
    make: (path) => writeFileSync(path, 'shopping list\n'.repeat(500)),
    line: /not a database/,
  },
  {
    why: "another program's database",
    make: (path) => execute(path, 'CREATE TABLE mine (x)'),
    line: /belongs to another program/,
  },
  {
    why: 'a newer schema',
    make: (path) => {
      makeStore(path);
      execute(path, 'PRAGMA user_version = 99');
    },
    line: /schema 99 is newer/,
  },
  {
    why: 'a truncated database',
    make: (path) => {
      makeStore(path);
      truncateSync(path, 200_000);
    },
    line: /malformed|damaged/,
  },
  {
    why: 'a file it may not open',
    make: (path) => {
      makeStore(path);
      chmodSync(path, 0o000);
    },
    line: /cannot open store|unable to open/,
  },
  {
    why: 'a read-only file',
    make: (path) => {
      makeStore(path);
      chmodSync(path, 0o444);
      for (const one of [path, dirname(path)]) chownSync(one, NOBODY, NOBODY);
    },
    line: /cannot open store [^\n]+; let this user write to the file and its directory/,
    isForRoot: true,
  },
];

function argsOf(t: TestContext): { name: string; args: string[] }[] {
  const root = join(tempDir(t), 'in');
  writeDownloadCache(root, [{ path: 'x.example/m', version: 'v1.0.0', contentBytes: 100 }]);
  writeFileSync(join(root, 'go.sum'), 'x.example/m v1.0.0 h1:x=\n');
  chmodSync(join(root, '..'), 0o755);
  return [
    { name: 'import', args: [root] },
    { name: 'export', args: [join(tempDir(t), 'out')] },
    { name: 'warm', args: ['--upstream', 'off', join(root, 'go.sum')] },
    { name: 'forget', args: ['x.example/m'] },
  ];
}

for (const { why, make, line, isForRoot } of wrong) {
  // Its owner may write beside it, and so read it.
  const skip = isForRoot === true && process.getuid?.() !== 0 && 'only root can give a file away';
  test(`${why}: one line, exit 1, nothing changed`, { skip }, async (t) => {
    const directory = tempDir(t);
    chmodSync(directory, 0o755);
    const db = join(directory, 'a.db');
    make(db);
    const contents = () => (why === 'a directory' ? readdirSync(db) : readFileSync(db));
    const before = contents();
    const others = [
      { name: 'stats', args: [] },
      { name: 'verify', args: [] },
      { name: 'serve', args: ['--addr', '127.0.0.1:0', '--upstream', 'off'] },
    ];
    for (const { name, args } of [...argsOf(t), ...others]) {
      const { code, stdout, stderr } = await new AsteraCommand([name, '--db', db, ...args], {
        isOrdinary: true,
      }).exited;
      assert.match(stderr, line, name);
      assert.match(stderr, /^astera: [^\n]+\n$/, name);
      assert.deepEqual([code, stdout], [1, ''], name);
      assert.deepEqual(contents(), before, `${name} changed it`);
    }
  });
}

for (const version of earlierSchemas) {
  test(`a store of schema ${version} is brought up to date by whatever writes, and goes on`, async (t) => {
    const db = join(tempDir(t), 'a.db');
    makeStore(db);
    takeBack(db, version);
    const early = await new AsteraCommand(['stats', '--db', db]).exited;
    assert.match(
      early.stderr,
      new RegExp(
        `^astera: [^\\n]+ schema ${version} is older [^\\n]+ 'astera serve' brings it up to date\\n$`,
      ),
    );
    const astera = await Astera.start({ upstream: 'off', db });
    const answer = await fetch(`${astera.url}/m3.example/@v/v1.0.0.zip`);
    assert.deepEqual(new Uint8Array(await answer.arrayBuffer()), contentOf(100_000, 3));
    await astera.dispose();
    const late = await new AsteraCommand(['stats', '--db', db]).exited;
    assert.equal(late.code, 0, late.stderr);
  });
}

test('no store at all: made where something comes in, missed where something goes out', async (t) => {
  for (const { name, args } of argsOf(t)) {
    const db = join(tempDir(t), 'a.db');
    const { code, stderr } = await new AsteraCommand([name, '--db', db, ...args]).exited;
    if (name === 'import') assert.equal(code, 0, stderr);
    else if (name === 'warm') assert.match(stderr, /cannot fetch 3 of 3 files\n$/);
    else
      assert.match(
        stderr,
        /^astera: cannot open store "[^"]+": there is no such file; name the store with --db\n$/,
      );
  }
});
