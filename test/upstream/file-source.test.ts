// Goal: a GOPROXY tree on disk can be a member of the list.
// Method: a temporary tree as GOMODCACHE/cache/download has it.

import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { type Disk, FileSource } from '../../src/upstream/file-source.ts';
import { HUNG_READS_MAX } from '../../src/upstream/limits.ts';
import { ask, assertSame, collect, failure, faulty, rig, someBytes } from './rig.ts';

const DIR = 'github.com/!azure/x/@v';
const zip = someBytes(200_000);

function tree(t: TestContext): string {
  const root = mkdtempSync(join(tmpdir(), 'astera file-'));
  t.after(() => rmSync(root, { recursive: true }));
  mkdirSync(join(root, 'download', DIR), { recursive: true });
  writeFileSync(join(root, 'download', DIR, 'v1.0.0.zip'), zip);
  writeFileSync(join(root, 'download', DIR, 'list'), '');
  writeFileSync(join(root, 'secret'), 'x');
  return join(root, 'download');
}

const href = (root: string) => pathToFileURL(root).href;

test('a file comes in pieces, whole, with its size', async (t) => {
  const { upstream } = rig(t, href(tree(t)));
  const got = await collect(upstream.stream(ask(`${DIR}/v1.0.0.zip`)));
  assertSame(got.bytes, zip);
  assert.equal(got.starts[0]?.size, zip.byteLength);
  assertSame((await upstream.whole(ask(`${DIR}/v1.0.0.zip`))).bytes, zip);
  assert.equal((await upstream.head(ask(`${DIR}/v1.0.0.zip`))).size, zip.byteLength);
  assert.equal((await upstream.whole(ask(`${DIR}/list`))).bytes.byteLength, 0);
});

test('what was there before is read again', async (t) => {
  const { upstream } = rig(t, href(tree(t)));
  const resume = { offset: 100, tail: zip.subarray(90, 100), size: undefined, validator: {} };
  const got = await collect(
    upstream.stream(ask(`${DIR}/v1.0.0.zip`, { resume })),
    Buffer.from(zip.subarray(0, 100)),
  );
  assertSame(got.bytes, zip);
});

for (const path of [
  `${DIR}/v2.0.0.zip`,
  'github.com/!azure/x/@latest',
  `${DIR}/list/x`,
  DIR,
  `${DIR}/${'x'.repeat(300)}`,
]) {
  test(`not there: ${path.slice(0, 60)}`, async (t) => {
    const { upstream } = rig(t, href(tree(t)));
    await failure(upstream.whole(ask(path)), 'not-found');
    await failure(collect(upstream.stream(ask(path))), 'not-found');
    await failure(upstream.head(ask(path)), 'not-found');
  });
}

test('messages do not tell where the tree lies', async (t) => {
  const root = tree(t);
  // Root may read all files: a name that leads to itself fails for everybody.
  symlinkSync('loop', join(root, 'loop'));
  const { upstream } = rig(t, href(root));
  const absent = await failure(upstream.whole(ask('v2.0.0.zip')), 'not-found');
  assert.equal(absent.message, 'cannot fetch "v2.0.0.zip" from file://…/download: no such file');
  const looped = await failure(upstream.whole(ask('loop')), 'upstream-failed');
  assert.equal(looped.message, 'cannot fetch "loop" from file://…/download: ELOOP');
});

test('nothing above the root is read', async (t) => {
  const { upstream } = rig(t, href(tree(t)));
  await failure(upstream.whole(ask('../secret')), 'bad-request');
});

test('more than was asked for is refused', async (t) => {
  const { upstream } = rig(t, href(tree(t)));
  const request = { path: `${DIR}/v1.0.0.zip`, bytesMax: 1000 };
  assert.match((await failure(upstream.whole(request), 'upstream-failed')).message, /larger than 1000/);
});

test('a tree that is not mounted is no tree without files', async (t) => {
  const { upstream } = rig(t, `${href(tree(t))}/not-mounted`);
  await failure(upstream.whole(ask(`${DIR}/list`)), 'upstream-failed');
  assert.ok(!upstream.isDown);
});

test('a server is asked for what the tree lacks', async (t) => {
  const server = await faulty(t);
  server.serve(`${DIR}/v2.0.0.zip`, { bytes: someBytes(5) });
  const { upstream } = rig(t, `${href(tree(t))},${server.url}`);
  assertSame((await upstream.whole(ask(`${DIR}/v2.0.0.zip`))).bytes, someBytes(5));
  assertSame((await upstream.whole(ask(`${DIR}/v1.0.0.zip`))).bytes, zip);
  assert.equal(server.seen.length, 1);
});

/** A disk whose reads hang from the `from`th on, counted over all files, until they are let go. */
function hangingDisk(from: number): Disk & { letGo(): void } {
  let letGo = (): void => {};
  const released = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  let reads = 0;
  return {
    letGo: () => letGo(),
    stat,
    open: async (...args) => {
      const file = await open(...args);
      const read = file.read.bind(file);
      file.read = async (buffer: NodeJS.ArrayBufferView) => {
        reads += 1;
        if (reads > from) await released;
        return read(buffer);
      };
      return file;
    },
  };
}

test('a disk that hangs fails its readers in time, and then all others at once until it is back', async (t) => {
  const disk = hangingDisk(1);
  const source = new FileSource(tree(t), { stallMs: 400 }, disk);
  const { signal } = new AbortController();
  const request = { ...ask(`${DIR}/v1.0.0.zip`), resume: undefined, isSmall: true, via: '', signal };
  const fetched = () => collect(source.fetch({ ...request, hasFallback: false }));
  for (let i = 0; i < HUNG_READS_MAX; i += 1) {
    assert.ok(!source.isDown);
    assert.match((await failure(fetched(), 'upstream-down')).message, /its disk does not answer/);
  }
  assert.ok(source.isDown);
  await failure(source.head({ ...request, hasFallback: false }), 'upstream-down');
  disk.letGo();
  while (source.isDown) await new Promise((resolve) => setImmediate(resolve));
  assertSame((await fetched()).bytes, zip);
});
