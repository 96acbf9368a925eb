// Goal: a right file is taken whatever its type, and a web page is none, whatever its type.
// Method: a table of beginnings; then servers that call everything a page, or answer everything by one.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { afterBeginning, isWebPage } from '../../src/upstream/web-page.ts';
import type { FaultyFile } from '../support/faulty-upstream.ts';
import { ask, assertSame, collect, failure, faulty, rig, someBytes } from './rig.ts';

const LIST = 'example.com/m/@v/list';
const INFO = 'example.com/m/@v/v1.0.0.info';
const LATEST = 'example.com/m/@latest';
const MOD = 'example.com/m/@v/v1.0.0.mod';
const ZIP = 'example.com/m/@v/v1.0.0.zip';
const LOOKUP = 'sumdb/sum.example/lookup/example.com/m@v1.0.0';
const TILE = 'sumdb/sum.example/tile/8/0/001';

const PAGE = '<!DOCTYPE html>\n<html><head><title>Welcome to the Grand Hotel</title></head></html>\n';

type Row = { path: string; text: string; page: 'never' | 'by type' | 'always'; why: string };

const rows: Row[] = [
  { path: LIST, text: 'v1.0.0\nv1.1.0\n', page: 'never', why: 'a list' },
  { path: LIST, text: '', page: 'never', why: 'an empty list' },
  { path: LIST, text: '\nv1.0.0\n', page: 'never', why: 'a list after a blank line' },
  { path: LIST, text: 'Please log in.', page: 'by type', why: 'a page without markup' },
  { path: INFO, text: '{"Version":"v1.0.0"}', page: 'never', why: 'an .info' },
  { path: INFO, text: '\n {"Version":"v1.0.0"}', page: 'never', why: 'an .info after blanks' },
  { path: INFO, text: '', page: 'by type', why: 'an empty answer' },
  { path: LATEST, text: '{"Version":"v1.0.0"}', page: 'never', why: '@latest' },
  { path: LATEST, text: '[1]', page: 'by type', why: 'no object' },
  { path: MOD, text: 'module example.com/m\n', page: 'never', why: 'a go.mod' },
  { path: MOD, text: '\ufeffmodule example.com/m\n', page: 'never', why: 'a go.mod with a byte order mark' },
  { path: MOD, text: '// Deprecated: no.\nmodule m\n', page: 'never', why: 'a go.mod with a comment' },
  { path: MOD, text: '/* x */ module m\n', page: 'never', why: 'a go.mod with another comment' },
  { path: MOD, text: 'go 1.22\nmodule m\n', page: 'never', why: 'a go.mod in another order' },
  { path: MOD, text: 'Go away\n', page: 'by type', why: 'a sentence' },
  { path: MOD, text: '', page: 'by type', why: 'an empty go.mod' },
  { path: ZIP, text: 'PK\u0003\u0004', page: 'never', why: 'a zip' },
  { path: ZIP, text: 'ZZ', page: 'by type', why: 'no zip' },
  { path: LOOKUP, text: '1234\nexample.com/m v1.0.0 h1:', page: 'never', why: 'a lookup' },
  { path: TILE, text: '<b\u0001\u0002', page: 'never', why: 'a tile whose first hash begins like markup' },
  ...[LIST, INFO, LATEST, MOD, ZIP, LOOKUP, TILE].flatMap((path): Row[] => [
    { path, text: PAGE, page: 'always', why: 'a page' },
    { path, text: `\r\n\t \ufeff`.trimEnd() + PAGE.toLowerCase(), page: 'always', why: 'in small letters' },
    { path, text: `\n\n\n${PAGE}`, page: 'always', why: 'after blank lines' },
    { path, text: `\ufeff<?xml version="1.0"?><html>`, page: 'always', why: 'XHTML with a byte order mark' },
    { path, text: '<!-- portal -->', page: 'always', why: 'a comment' },
    { path, text: '<script>location="/login"</script>', page: 'always', why: 'a script' },
  ]),
  ...[LIST, INFO, LATEST, MOD, ZIP].map(
    (path): Row => ({ path, text: '<center>Log in</center>', page: 'always', why: 'any markup' }),
  ),
];
for (const { path, text, page, why } of rows) {
  test(`isWebPage: ${path}: ${why}`, () => {
    const beginning = Buffer.from(text);
    assert.equal(isWebPage(path, beginning, false), page === 'always', 'without the type');
    assert.equal(isWebPage(path, beginning, true), page !== 'never', 'with it');
  });
}

test('a beginning is judged once, whatever the pieces, and no byte is lost', async () => {
  for (const pieceBytes of [1, 100, 511, 512, 513, 5_000]) {
    const all = someBytes(3_000);
    const judged: number[] = [];
    const pieces = async function* () {
      for (let at = 0; at < all.byteLength; at += pieceBytes) yield all.subarray(at, at + pieceBytes);
    };
    const passed: Uint8Array[] = [];
    for await (const piece of afterBeginning(pieces(), ({ byteLength }) => judged.push(byteLength))) {
      passed.push(piece);
    }
    assertSame(Buffer.concat(passed), all);
    assert.equal(judged.length, 1);
    assert.ok((judged[0] ?? 0) >= 512, `judged by ${judged[0]} bytes`);
  }
});

const right: [path: string, bytes: Uint8Array][] = [
  [LIST, Buffer.from('v1.0.0\n')],
  [LIST, new Uint8Array()],
  [INFO, Buffer.from('{"Version":"v1.0.0"}')],
  [MOD, Buffer.from('module example.com/m\n')],
  [ZIP, Buffer.concat([Buffer.from('PK\u0003\u0004'), someBytes(100_000)])],
  [LOOKUP, Buffer.from('1234\n')],
  [TILE, someBytes(8192)],
];
for (const [path, bytes] of right) {
  test(`right by content, whatever its type: ${path}, ${bytes.byteLength} bytes`, async (t) => {
    const server = await faulty(t);
    server.serve(path, { bytes, type: 'text/html; charset=utf-8' });
    const { upstream } = rig(t, server.url);
    assertSame((await upstream.whole(ask(path))).bytes, bytes);
    assertSame((await collect(upstream.stream(ask(path)))).bytes, bytes);
    assert.equal((await upstream.head(ask(path))).size, bytes.byteLength);
  });
}

const portals: { page: FaultyFile; why: string }[] = [
  { page: { bytes: Buffer.from(PAGE), type: 'text/html' }, why: 'called one' },
  { page: { bytes: Buffer.from(PAGE), type: 'application/octet-stream' }, why: 'called something else' },
  { page: { bytes: Buffer.from(PAGE) }, why: 'called nothing' },
  { page: { bytes: Buffer.from(PAGE), isGzipped: true }, why: 'compressed' },
  {
    page: { bytes: Buffer.from(PAGE.repeat(200)), pieceBytes: 7, type: 'text/html' },
    why: 'in small pieces',
  },
];
const good: FaultyFile = { bytes: Buffer.from('PK\u0003\u0004') };
for (const { page, why } of portals) {
  for (const method of ['whole', 'stream', 'head'] as const) {
    test(`a page for every file, ${why}: ${method}: "|" goes on, "," does not`, async (t) => {
      // Only its type could tell a page by HEAD.
      if (method === 'head' && page.type !== 'text/html') return;
      const [portal, server] = [await faulty(t), await faulty(t)];
      portal.fallback = () => page;
      server.serve(ZIP, good);
      const got = (list: string) => {
        const { upstream } = rig(t, list);
        return method === 'stream' ? collect(upstream.stream(ask(ZIP))) : upstream[method](ask(ZIP));
      };
      const { message } = await failure(got(`${portal.url},${server.url}`), 'upstream-failed');
      assert.match(message, /got a web page instead of the file/);
      assert.equal(server.seen.length, 0);
      await got(`${portal.url}|${server.url}`);
      assert.equal(server.requestsFor(ZIP).length, 1);
    });
  }
}

for (const isCut of [false, true]) {
  test(`a portal in the middle of a zip ends it${isCut ? ', whatever its length' : ''}`, async (t) => {
    const server = await faulty(t);
    const zip = Buffer.concat([Buffer.from('PK\u0003\u0004'), someBytes(100_000)]);
    server.serve(ZIP, {
      bytes: (n) => (n === 0 ? zip : Buffer.from(PAGE.padEnd(isCut ? 10 : 200_000, 'x'))),
      isChunked: true,
      range: 'ignore',
      cutAfter: (n) => (n === 0 ? 50_000 : undefined),
    });
    const { upstream } = rig(t, server.url);
    let starts = 0;
    const followed = (async () => {
      for await (const event of upstream.stream(ask(ZIP))) if (event.kind === 'start') starts += 1;
    })();
    assert.match((await failure(followed, 'upstream-failed')).message, /web page/);
    assert.equal(starts, 1, 'what came before is not thrown away');
  });
}

test('a 404 is a 404, whatever page comes with it, and none of the page is shown', async (t) => {
  const [plain, server] = [await faulty(t), await faulty(t)];
  plain.fallback = () => ({ status: 404, text: PAGE, type: 'text/html' });
  server.serve(ZIP, good);
  const error = await failure(rig(t, plain.url).upstream.whole(ask(ZIP)), 'not-found');
  assert.match(error.message, /404 Not Found$/);
  await rig(t, `${plain.url},${server.url}`).upstream.whole(ask(ZIP));
  assert.equal(server.seen.length, 1);
});
