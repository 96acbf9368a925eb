// Goal: only the files of a tree are found. Written files are whole and inside the tree.
// Method: trees in temporary directories, with links, pipes and other odd entries.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { BadRequest } from '../../src/core/errors.ts';
import { parseSumdbPath } from '../../src/sumdb/sumdb-path.ts';
import { inLanes } from '../../src/tree/lanes.ts';
import { readWhole } from '../../src/tree/read-whole.ts';
import { walkTree } from '../../src/tree/tree-file.ts';
import { TreeWriter } from '../../src/tree/tree-writer.ts';
import { writeTree } from '../support/download-cache.ts';
import { tempDir } from '../support/temp-dir.ts';

async function walked(root: string): Promise<string[]> {
  const found: string[] = [];
  for (const file of walkTree(root)) {
    found.push(file.kind === 'file' ? file.key : `bad: ${file.path.slice(root.length + 1)}: ${file.why}`);
  }
  return found.sort();
}

test('the files of versions are found, and nothing else', async (t) => {
  const root = tempDir(t);
  const wanted = [
    'a.example/x/@v/v1.0.0.info',
    'a.example/x/sub/!y/@v/v1.0.0.mod',
    'b.example/@v/v1.0.0.zip',
  ];
  const others = [
    'a.example/x/@v/list',
    'a.example/x/@v/v1.0.0.lock',
    'a.example/x/@v/v1.0.0.ziphash',
    'a.example/x/@latest',
    'a.example/x/v1.0.0.zip',
    'a.example/x/.git/@v/v1.0.0.zip',
    'sumdb/sum.golang.org/tile/8/0/000.info',
    'nodot/x/@v/v1.0.0.zip',
    '.hidden.example/x/@v/v1.0.0.zip',
    'A.example/x/@v/v1.0.0.zip',
  ];
  writeTree(root, Object.fromEntries([...wanted, ...others].map((path) => [path, 'x'])));
  assert.deepEqual(await walked(root), wanted);
});

test('symbolic links are reported and not followed', async (t) => {
  const [root, outside] = [tempDir(t), tempDir(t)];
  writeTree(outside, { 'x/@v/v1.0.0.mod': 'secret', 'v1.0.0.zip': 'secret' });
  writeTree(root, { 'a.example/x/@v/v1.0.0.mod': 'mod' });
  symlinkSync(outside, join(root, 'b.example'));
  symlinkSync(join(outside, 'v1.0.0.zip'), join(root, 'a.example/x/@v/v1.0.0.zip'));
  symlinkSync('..', join(root, 'a.example/loop'));
  assert.deepEqual(await walked(root), [
    'a.example/x/@v/v1.0.0.mod',
    'bad: a.example/loop: a symbolic link',
    'bad: a.example/x/@v/v1.0.0.zip: a symbolic link',
    'bad: b.example: a symbolic link',
  ]);
});

test('an entry that is no file, or cannot be listed, is reported', async (t) => {
  const root = tempDir(t);
  mkdirSync(join(root, 'a.example/x/@v/v1.0.0.zip'), { recursive: true });
  spawnSync('mkfifo', [join(root, 'a.example/x/@v/v1.0.0.mod')]);
  const found = await walked(root);
  assert.deepEqual(found, [
    'bad: a.example/x/@v/v1.0.0.mod: not a regular file',
    'bad: a.example/x/@v/v1.0.0.zip: not a regular file',
  ]);
  assert.match((await walked(join(root, 'none')))[0] ?? '', /ENOENT/);
});

test('a file is written whole, and is found by its size and by its content', async (t) => {
  const root = join(tempDir(t), 'made/here');
  const writer = TreeWriter.open(root);
  const path = 'a.example/x/@v/v1.0.0.zip';
  writer.write(path, Buffer.from('one two'));
  assert.equal(readFileSync(join(root, path), 'utf8'), 'one two');
  assert.equal(writer.has(path, 7), true);
  assert.equal(writer.has(path, 8), false);
  assert.equal(writer.hasBytes(path, Buffer.from('one two')), true);
  assert.equal(writer.hasBytes(path, Buffer.from('one twO')), false);
  assert.deepEqual(readdirSync(join(root, 'a.example/x/@v')), ['v1.0.0.zip']);
});

test('a filled file appears when it is whole; after a failure the old file stays', async (t) => {
  const root = tempDir(t);
  const writer = TreeWriter.open(root);
  const path = 'a.example/@v/list';
  writeTree(root, { [path]: 'before' });
  const broken = writer.fill(path, async (half) => {
    writeFileSync(half, 'half');
    assert.equal(readFileSync(join(root, path), 'utf8'), 'before');
    throw new Error('store gone');
  });
  await assert.rejects(broken, /store gone/);
  assert.equal(readFileSync(join(root, path), 'utf8'), 'before');
  await writer.fill(path, async (half) => writeFileSync(half, 'after'));
  assert.equal(readFileSync(join(root, path), 'utf8'), 'after');
  assert.deepEqual(readdirSync(join(root, 'a.example/@v')), ['list']);
});

test('nothing is written through a symbolic link', async (t) => {
  const [root, outside] = [tempDir(t), tempDir(t)];
  symlinkSync(outside, join(root, 'a.example'));
  mkdirSync(join(root, 'b.example/@v'), { recursive: true });
  writeFileSync(join(outside, 'precious'), 'mine');
  symlinkSync(join(outside, 'precious'), join(root, 'b.example/@v/v1.0.0.mod'));
  const writer = TreeWriter.open(root);
  assert.throws(() => writer.write('a.example/@v/list', Buffer.from('x')), /"[^"]+a\.example": not a direc/);
  writer.write('b.example/@v/v1.0.0.mod', Buffer.from('module b.example\n'));
  assert.deepEqual(readdirSync(outside), ['precious']);
  assert.equal(readFileSync(join(outside, 'precious'), 'utf8'), 'mine');
  assert.equal(readFileSync(join(root, 'b.example/@v/v1.0.0.mod'), 'utf8'), 'module b.example\n');
});

test('no path leads out of the root, for any key in the store', async (t) => {
  const above = tempDir(t);
  const writer = TreeWriter.open(join(above, 'root'));
  const text = new TextEncoder().encode('x');
  for (const path of [
    'sumdb/x/../../../escaped/latest',
    '../escaped',
    '/escaped',
    'a/./b',
    'a//b',
    'a/\0',
    '',
  ]) {
    assert.throws(() => writer.write(path, text), BadRequest, path);
    assert.throws(() => writer.has(path, 1), BadRequest, path);
    await assert.rejects(
      writer.fill(path, () => Promise.resolve()),
      BadRequest,
      path,
    );
  }
  assert.deepEqual(readdirSync(above), ['root']);
  assert.deepEqual(readdirSync(join(above, 'root')), []);
  assert.equal(parseSumdbPath('sumdb/x/../../../escaped/latest'), undefined);
});

test('only regular files are read, and no more bytes than their size', (t) => {
  const root = tempDir(t);
  writeTree(root, { file: 'content', empty: '' });
  assert.equal(spawnSync('mkfifo', [join(root, 'pipe')]).status, 0);
  symlinkSync(join(root, 'file'), join(root, 'link'));
  assert.equal(Buffer.from(readWhole(join(root, 'file'), 7)).toString(), 'content');
  assert.equal(readWhole(join(root, 'empty'), 0).byteLength, 0);
  assert.throws(() => readWhole(join(root, 'file'), 6), /7 bytes: over 6/);
  for (const path of [join(root, 'pipe'), '/dev/zero', root]) {
    assert.throws(() => readWhole(path, 100), /not a regular file/, path);
  }
  assert.throws(() => readWhole(join(root, 'link'), 100), { code: 'ELOOP' });
});

test('half-written files of a dead writer are removed, those of a living one stay', async (t) => {
  const root = tempDir(t);
  const { pid } = spawnSync(process.execPath, ['-e', '']);
  writeTree(root, {
    [`a.example/@v/.astera-${pid}-1`]: 'half',
    [`a.example/@v/.astera-${process.ppid}-1`]: 'h',
  });
  TreeWriter.open(root).write('a.example/@v/list', Buffer.from(''));
  assert.deepEqual(readdirSync(join(root, 'a.example/@v')), [`.astera-${process.ppid}-1`, 'list']);
});

test('a root that is a file is refused', async (t) => {
  const root = tempDir(t);
  writeFileSync(join(root, 'f'), 'x');
  assert.throws(() => TreeWriter.open(join(root, 'f')), /^BadRequest: cannot write to "[^"]+f": /);
  assert.throws(() => TreeWriter.open(join(root, 'f/below')), /^BadRequest: cannot write to/);
  assert.equal(existsSync(join(root, 'f/below')), false);
  assert.throws(() => TreeWriter.open('/proc/none/below'), /^BadRequest: cannot write to "[^"]+": ENOENT/);
});

test('lanes run every item once, with a bound on concurrency, and start none after a failure', async () => {
  async function* items() {
    for (let i = 0; i < 20; i++) yield i;
  }
  let [open, most] = [0, 0];
  const done: number[] = [];
  await inLanes(items(), 3, async (item) => {
    most = Math.max(most, ++open);
    await new Promise((resolve) => setImmediate(resolve));
    open--;
    done.push(item);
  });
  assert.deepEqual(
    done.sort((a, b) => a - b),
    Array.from({ length: 20 }, (_, i) => i),
  );
  assert.equal(most, 3);
  let begun = 0;
  const failing = inLanes(items(), 2, async (item) => {
    begun++;
    if (item === 3) throw new Error('the disk is full');
  });
  await assert.rejects(failing, /the disk is full/);
  assert.ok(begun < 8, `${begun} begun`);
});
