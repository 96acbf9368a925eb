// Goal: what the local directory gives is what was put, it takes only what its ID names, and trimming keeps what is in use.
// Method: a real directory, a clock of the test's own, mtimes set by hand.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { LocalCache, trimDirectory } from '../../src/plugin/local-cache.ts';
import { tempDir } from '../support/temp-dir.ts';

const HOUR_MS = 3_600_000;
const nowMs = Date.now();

function open(directory: string, warnings: string[] = []): LocalCache {
  return new LocalCache({ directory, now: () => nowMs, warn: (line) => warnings.push(line) });
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
  cache.close();
});

test('where the directory cannot be made, puts go to a spare one, with one line', (t) => {
  const file = join(tempDir(t), 'file');
  writeFileSync(file, '');
  const warnings: string[] = [];
  const cache = open(file, warnings);
  assert.equal(readFileSync(put(cache, 'a', 'one').path, 'latin1'), 'one');
  const second = put(cache, 'b', 'two');
  assert.equal(cache.get(sha256('b'))?.path, second.path);
  assert.equal(warnings.length, 1);
  cache.close();
  assert.ok(!existsSync(second.path));
});

for (const { hours, expiryHours, bytesMax, isKept, why } of [
  { hours: 100, expiryHours: 120, bytesMax: 1000, isKept: true, why: 'not expired' },
  { hours: 130, expiryHours: 120, bytesMax: 1000, isKept: false, why: 'expired' },
  { hours: 20, expiryHours: 1, bytesMax: 0, isKept: true, why: 'used within a day, whatever the settings' },
  { hours: 30, expiryHours: 120, bytesMax: 3, isKept: false, why: 'over the size' },
]) {
  test(`trim: ${why}`, (t) => {
    const directory = cacheDir(t);
    const { path } = put(open(directory), 'a', 'body');
    const usedAtS = (nowMs - hours * HOUR_MS) / 1000;
    utimesSync(path, usedAtS, usedAtS);
    trimDirectory(directory, { expiryMs: expiryHours * HOUR_MS, bytesMax, nowMs });
    assert.equal(existsSync(path), isKept);
  });
}

test('a get is a use', (t) => {
  const directory = cacheDir(t);
  const cache = open(directory);
  const { path } = put(cache, 'a', 'body');
  const usedAtS = (nowMs - 200 * HOUR_MS) / 1000;
  utimesSync(path, usedAtS, usedAtS);
  cache.get(sha256('a'));
  trimDirectory(directory, { expiryMs: 120 * HOUR_MS, bytesMax: 1000, nowMs });
  assert.ok(existsSync(path));
});
