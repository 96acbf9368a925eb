// Goal: a GOPROXY tree on disk can be a member of the list.
// Method: a temporary tree as GOMODCACHE/cache/download has it.

import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { pathToFileURL } from 'node:url';
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
