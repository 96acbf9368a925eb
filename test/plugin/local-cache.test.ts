// Goal: what the local directory gives is what was put, it takes only what its ID names, and trimming keeps what is in use.
// Method: a real directory, a clock of the test's own, mtimes set by hand.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { after, type TestContext, test } from 'node:test';
import { LocalCache } from '../../src/plugin/local-cache.ts';
import { openSpareDirectory } from '../../src/plugin/spare-directory.ts';
import { trimDirectory } from '../../src/plugin/trim.ts';
import { tempDir } from '../support/temp-dir.ts';

const HOUR_MS = 3_600_000;
const nowMs = Date.now();
// Spare directories lie here, not among those of this machine's user.
process.env.TMPDIR = tempDir({ after });

function open(directory: string, warnings: string[] = [], namespace = 'main'): LocalCache {
  return new LocalCache({ directory, namespace, now: () => nowMs, warn: (line) => warnings.push(line) });
}

function put(cache: LocalCache, name: string, content: string) {
  const put = cache.beginPut({ outputId: sha256(content), size: content.length });
  if (content !== '') put.write(Buffer.from(content));
  return put.finish({ actionId: sha256(name) });
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

function cacheDir(t: TestContext): string {
  return join(tempDir(t), 'cache');
}

test('go-cache-plugin reads what is written, and the other way round', (t) => {
  const directory = cacheDir(t);
  const [action, output] = [sha256('a'), sha256('body')];
  mkdirSync(join(directory, 'action', action.slice(0, 2)), { recursive: true });
  mkdirSync(join(directory, 'output', output.slice(0, 2)), { recursive: true });
  writeFileSync(join(directory, 'action', action.slice(0, 2), action), `${output} 1700000000000000001`);
  writeFileSync(join(directory, 'output', output.slice(0, 2), output), 'body');
  const cache = open(directory);
  assert.equal(cache.get(action)?.time, '1700000000000000001');
  put(cache, 'b', 'other');
  const file = join(directory, 'action', sha256('b').slice(0, 2), sha256('b'));
  assert.equal(readFileSync(file, 'latin1'), `${sha256('other')} ${nowMs}000000`);
});

test("go-cache-plugin's own action files hold a size, and their mtime is the time", async (t) => {
  const directory = cacheDir(t);
  const put = (name: string, size: number) => {
    const [action, output] = [sha256(name), sha256('body')];
    const files = [
      join(directory, 'action', action.slice(0, 2), action),
      join(directory, 'output', output.slice(0, 2), output),
    ];
    for (const [at, content] of [`${output} ${size}\n`, 'body'].entries()) {
      const file = files[at] ?? '';
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, content);
      utimesSync(file, 1_700_000_000, 1_700_000_000);
    }
  };
  const cache = open(directory);
  put('cut', 5);
  assert.equal(cache.get(sha256('cut')), undefined, 'another size is a miss');
  put('a', 4);
  for (const when of ['as it was', 'after its use was noted']) {
    assert.equal(cache.get(sha256('a'))?.time, '1700000000000000000', when);
  }
  await trimDirectory(directory, { expiryMs: 120 * HOUR_MS, bytesMax: 1000 }, nowMs);
  assert.ok(cache.get(sha256('a')), 'a use keeps it');
});

test('an empty body is an empty file', (t) => {
  const entry = put(open(cacheDir(t)), 'a', '');
  assert.equal(statSync(entry.path).size, 0);
});

test('an output that is there stays the file it is', (t) => {
  const cache = open(cacheDir(t));
  const before = statSync(put(cache, 'a', 'same').path).ino;
  assert.equal(statSync(put(cache, 'b', 'same').path).ino, before);
});

test('a body that its ID does not name is refused and leaves nothing', (t) => {
  const cache = open(cacheDir(t));
  const bad = cache.beginPut({ outputId: sha256('right'), size: 5 });
  bad.write(Buffer.from('wrong'));
  assert.throws(() => bad.finish({ actionId: sha256('a') }), /does not match/);
  bad.abort();
  assert.equal(cache.get(sha256('a')), undefined);
});

test('a directory that goes away in the middle of a body costs no put', (t) => {
  const directory = cacheDir(t);
  const cache = open(directory);
  const half = cache.beginPut({ outputId: sha256('onetwo'), size: 6 });
  half.write(Buffer.from('one'));
  rmSync(directory, { recursive: true });
  half.write(Buffer.from('two'));
  const entry = half.finish({ actionId: sha256('a') });
  assert.equal(readFileSync(entry.path, 'latin1'), 'onetwo');
});

test('where the directory cannot be made, puts go to a spare one that outlives the program, with one line', (t) => {
  const file = join(tempDir(t), 'file');
  writeFileSync(file, '');
  const warnings: string[] = [];
  const cache = open(file, warnings);
  assert.equal(readFileSync(put(cache, 'a', 'one').path, 'latin1'), 'one');
  const second = put(cache, 'b', 'two');
  assert.equal(cache.get(sha256('b'))?.path, second.path);
  assert.equal(warnings.length, 1);
  const next = open(file);
  put(next, 'c', 'three');
  assert.equal(next.get(sha256('b'))?.path, second.path, 'the next program uses the same');
});

test('a directory that takes files again is used again', (t) => {
  const directory = join(tempDir(t), 'cache');
  writeFileSync(directory, '');
  let passedMs = 0;
  const cache = new LocalCache({
    directory,
    namespace: 'main',
    now: () => nowMs + passedMs,
    warn: () => {},
  });
  put(cache, 'a', 'one');
  rmSync(directory);
  assert.ok(!put(cache, 'b', 'two').path.startsWith(directory), 'not tried at each put');
  passedMs = 60_001;
  assert.ok(put(cache, 'c', 'three').path.startsWith(directory));
  assert.ok(cache.get(sha256('a')), 'what the spare one took is still there');
});

for (const { why, make } of [
  { why: 'others may write it', make: (path: string) => makeDirectory(path, 0o777) },
  { why: 'it is a link', make: (path: string) => symlinkSync('/tmp', path) },
]) {
  test(`a spare directory is not taken where ${why}`, (t) => {
    const parent = tempDir(t);
    const usual = openSpareDirectory(parent);
    assert.equal(openSpareDirectory(parent), usual);
    rmSync(usual, { recursive: true });
    make(usual);
    const other = openSpareDirectory(parent);
    assert.notEqual(other, usual);
    assert.equal(statSync(other).mode & 0o777, 0o700);
  });
}

function makeDirectory(path: string, mode: number): void {
  mkdirSync(path);
  chmodSync(path, mode);
}

for (const { hours, expiryHours, bytesMax, isKept, why } of [
  { hours: 100, expiryHours: 120, bytesMax: 1000, isKept: true, why: 'not expired' },
  { hours: 130, expiryHours: 120, bytesMax: 1000, isKept: false, why: 'expired' },
  { hours: 20, expiryHours: 1, bytesMax: 0, isKept: true, why: 'used within a day, whatever the settings' },
  { hours: 30, expiryHours: 120, bytesMax: 3, isKept: false, why: 'over the size' },
]) {
  test(`trim: ${why}`, async (t) => {
    const directory = cacheDir(t);
    const { path } = put(open(directory), 'a', 'body');
    const usedAtS = (nowMs - hours * HOUR_MS) / 1000;
    utimesSync(path, usedAtS, usedAtS);
    await trimDirectory(directory, { expiryMs: expiryHours * HOUR_MS, bytesMax }, nowMs);
    assert.equal(existsSync(path), isKept);
  });
}

test('a get is a use', async (t) => {
  const directory = cacheDir(t);
  const cache = open(directory);
  const { path } = put(cache, 'a', 'body');
  const usedAtS = (nowMs - 200 * HOUR_MS) / 1000;
  utimesSync(path, usedAtS, usedAtS);
  cache.get(sha256('a'));
  await trimDirectory(directory, { expiryMs: 120 * HOUR_MS, bytesMax: 1000 }, nowMs);
  assert.ok(existsSync(path));
});

test('a namespace reads its own entries, then those of the main one; nobody else reads its own', async (t) => {
  const directory = cacheDir(t);
  const [main, pull, other] = ['main', 'pr/7', '..'].map((name) => open(directory, [], name));
  assert.ok(main && pull && other);
  put(main, 'a', 'of main');
  const own = put(pull, 'a', 'of pr/7');
  const alone = put(pull, 'b', 'of pr/7');
  assert.equal(own.path, alone.path, 'one output is there once');
  const outputOf = (cache: LocalCache, name: string) => cache.get(sha256(name))?.outputId;
  assert.deepEqual([outputOf(main, 'a'), outputOf(main, 'b')], [sha256('of main'), undefined]);
  assert.deepEqual([outputOf(pull, 'a'), outputOf(pull, 'b')], [sha256('of pr/7'), sha256('of pr/7')]);
  assert.deepEqual([outputOf(other, 'a'), outputOf(other, 'b')], [sha256('of main'), undefined]);
  assert.equal(other.getOwn(sha256('a')), undefined, "the main one's is not its own to upload");
  assert.notEqual(main.ownPath('spool'), pull.ownPath('spool'));
  await trimDirectory(directory, { expiryMs: 0, bytesMax: 0 }, nowMs + 26 * HOUR_MS);
  for (const cache of [main, pull]) assert.equal(cache.get(sha256('a')), undefined);
});

test('nothing stays of a namespace that nobody uses, and of others what is used', async (t) => {
  const directory = cacheDir(t);
  const pulls = ['pr/7', 'pr/8'].map((name) => open(directory, [], name));
  for (const cache of pulls) {
    put(cache, 'a', 'body');
    for (const name of ['spool/1-1', 'sessions/x', 'filter-own-pi']) {
      mkdirSync(dirname(cache.ownPath(name)), { recursive: true });
      writeFileSync(cache.ownPath(name), '');
    }
  }
  const [old, used] = pulls;
  assert.ok(old && used);
  const usedAtS = (nowMs - 200 * HOUR_MS) / 1000;
  const files = readdirSync(old.ownPath(''), { recursive: true, withFileTypes: true });
  for (const file of files) if (file.isFile()) utimesSync(join(file.parentPath, file.name), usedAtS, usedAtS);
  const before = readdirSync(used.ownPath(''), { recursive: true });
  await trimDirectory(directory, { expiryMs: 120 * HOUR_MS, bytesMax: 1000 }, nowMs);
  assert.ok(!existsSync(old.ownPath('')));
  assert.deepEqual(readdirSync(used.ownPath(''), { recursive: true }), before);
  assert.ok(used.getOwn(sha256('a')));
  put(old, 'a', 'body');
  assert.ok(old.getOwn(sha256('a')), 'it may come again');
});
