// Goal: what Windows does otherwise breaks nothing: files that can't be replaced or removed while somebody has them open, paths,
// line ends, and a PWD that nobody keeps.
// Method: node:fs refuses as Windows does, for one call; node:path of Windows; a compiler whose lines end as there.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import fs, { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { join, win32 } from 'node:path';
import { type TestContext, test } from 'node:test';
import { CacheDirectory } from '../../src/plugin/cache-directory.ts';
import { HeldRequests } from '../../src/plugin/held-requests.ts';
import { hashHost } from '../../src/plugin/host-headers.ts';
import { PLUGIN_HELD_BYTES_MAX } from '../../src/plugin/limits.ts';
import { replaceFile } from '../../src/plugin/replace-file.ts';
import { ownDirectory, placeIn } from '../../src/plugin/session-name.ts';
import { filesIn } from '../support/cached-build.ts';
import { tempDir } from '../support/temp-dir.ts';

/** The next call of it fails as on Windows; those after it work. */
function refuseOnce(t: TestContext, name: 'renameSync' | 'rmSync'): void {
  const { mock } = t.mock.method(fs, name);
  mock.mockImplementationOnce(() => {
    throw Object.assign(new Error('EPERM: operation not permitted'), { code: 'EPERM' });
  });
  syncBuiltinESMExports();
  t.after(() => {
    mock.restore();
    syncBuiltinESMExports();
  });
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

test('an action that another process reads just now stays, where it says the same', (t) => {
  const path = join(tempDir(t), 'cache');
  const cache = new CacheDirectory({ path, namespace: 'main', now: Date.now });
  const entryOf = (content: string) => {
    const outputId = sha256(content);
    const file = cache.openTemporary();
    fs.writeSync(file.fd, content);
    fs.closeSync(file.fd);
    const size = content.length;
    return { outputId, size, time: '1700000000000000000', path: cache.moveIn(file, { outputId, size }) };
  };
  const [one, two] = [entryOf('one'), entryOf('two')];
  cache.link(sha256('a'), one);
  refuseOnce(t, 'renameSync');
  cache.link(sha256('a'), one);
  t.mock.restoreAll();
  refuseOnce(t, 'renameSync');
  assert.throws(() => cache.link(sha256('a'), two), /EPERM/);
  assert.equal(cache.get(sha256('a'))?.outputId, one.outputId);
  assert.deepEqual(filesIn(join(path, 'tmp')), []);
});

test('a small file that another process reads just now stays, and nothing lies beside it', (t) => {
  const directory = join(tempDir(t), 'new');
  const path = join(directory, 'file');
  assert.equal(replaceFile(path, 'one', 1_000_000), true);
  assert.equal(fs.statSync(path).mtimeMs, 1_000_000);
  refuseOnce(t, 'renameSync');
  assert.equal(replaceFile(path, 'two'), false);
  assert.equal(readFileSync(path, 'utf8'), 'one');
  assert.deepEqual(readdirSync(directory), ['file']);
  assert.equal(replaceFile(path, 'two'), true);
  assert.equal(readFileSync(path, 'utf8'), 'two');
});

test('a held body that was not removed while it was open is removed when it is answered', (t) => {
  const temporary = tempDir(t);
  const before = process.env.TMPDIR;
  process.env.TMPDIR = temporary;
  t.after(() => {
    if (before === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = before;
  });
  refuseOnce(t, 'rmSync');
  const held = new HeldRequests();
  held.onRequest({ id: 1, command: 'put', actionId: '', outputId: '', bodySize: 0 });
  for (let piece = 0; piece < 3; piece++) held.onBody(Buffer.alloc(PLUGIN_HELD_BYTES_MAX / 2, piece));
  held.onBodyEnd();
  assert.equal(readdirSync(temporary).length, 1);
  held.drop(1);
  assert.deepEqual(readdirSync(temporary), []);
});

test('a directory below a module has one place on all systems', () => {
  assert.equal(placeIn('C:\\src\\app', 'C:\\src\\app\\cmd\\tool', win32), 'cmd/tool');
  assert.equal(placeIn('/src/app', '/src/app/cmd/tool'), 'cmd/tool');
  assert.equal(placeIn('C:\\src\\app', 'C:\\src\\app', win32), '');
});

test('PWD names the directory where it is this one, and is overlooked otherwise', (t) => {
  const directory = tempDir(t);
  const link = join(directory, 'link');
  symlinkSync(process.cwd(), link);
  assert.equal(ownDirectory(link), link);
  for (const pwd of [undefined, directory, join(directory, 'gone'), '.', '/c/src'])
    assert.equal(ownDirectory(pwd), process.cwd());
});

test('a compiler whose lines end as on Windows says where its headers are', async (t) => {
  const directory = tempDir(t);
  const include = join(directory, 'include');
  mkdirSync(include);
  writeFileSync(join(include, 'value.h'), '#define VALUE 1\n');
  const lines = [
    'gcc version 15.2.0 (MinGW)',
    '#include "..." search starts here:',
    '#include <...> search starts here:',
  ];
  const text = [...lines, ` ${include}`, 'End of search list.', ''].join('\r\n');
  writeFileSync(join(directory, 'says'), text);
  const compiler = join(directory, 'gcc');
  writeFileSync(compiler, `#!/bin/sh\ncat ${join(directory, 'says')} >&2\n`, { mode: 0o755 });
  const env = { PATH: process.env.PATH, CC: compiler, CXX: 'none', PKG_CONFIG: 'none' };
  const hash = () => hashHost(env, join(directory, 'memo'));
  const before = await hash();
  writeFileSync(join(include, 'value.h'), '#define VALUE 12\n');
  assert.notEqual(await hash(), before);
  assert.equal(existsSync(join(directory, 'memo')), false, 'headers as young as these are read anew');
});
