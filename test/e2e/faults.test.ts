// Goal: whatever the line or the upstream does, clients get the right bytes or a clear error, never a
// clean end of a wrong body, never a 404 for a fault; and nothing wrong is kept.
// Method: a real server before an upstream that plays one fault a row, four clients at once, then a look
// into the SQLite file. Long waits (the server's own 30 s for silence) run beside the rest.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { CHUNK_BYTES, RESUME_TAIL_BYTES } from '../../src/core/limits.ts';
import { makeZip } from '../modzip/zip-writer.ts';
import { assertWhole, query } from '../store/stores.ts';
import { Astera } from '../support/astera.ts';
import { type FaultyFile, FaultyUpstream } from '../support/faulty-upstream.ts';
import { madeUpFiles } from '../support/module-zip.ts';
import { ask, askTogether, type Outcome } from '../support/raw-client.ts';

const MB = 1_000_000;
const CLIENTS = 4;
const STALL_AFTER = 300_000;

const module = { path: 'fault.example/m', version: 'v1.0.0' };
const base = `${module.path}/@v/${module.version}`;

/** `large` is a few chunks long, so that clients have some of it before the end; `small` is less than one. */
const zips = {
  small: madeUpFiles({ ...module, contentBytes: 50_000 }).zip,
  large: madeUpFiles({ ...module, contentBytes: 3 * MB }).zip,
  huge: madeUpFiles({ ...module, contentBytes: 20 * MB }).zip,
};
const info = Buffer.from('{"Version":"v1.0.0"}');
const mod = Buffer.from(`module ${module.path}\n\ngo 1.21\n`);
const list = Buffer.from('v1.0.0\nv1.1.0\n');

/** The zip of another version: whole and well-formed, but not what was asked for. */
const otherNames = madeUpFiles({ ...module, version: 'v1.0.1', contentBytes: 3 * MB }).zip;
const otherNamesSmall = madeUpFiles({ ...module, version: 'v1.0.1', contentBytes: 9_000 }).zip;

/** As long as `large`, and the same but for the first noise file and what the directory says of it. */
const twin = madeUpFiles({ ...module, contentBytes: 3 * MB }).zip;
for (let at = 200_000; at < 200_100; at++) twin[at] = (twin[at] ?? 0) ^ 0xff;

/** 600 MiB of zeros in a few hundred KB, as the directory says itself. */
const bomb = makeZip([
  { name: `${module.path}@${module.version}/go.mod`, content: mod },
  ...Array.from({ length: 6 }, (_, i) => ({
    name: `${module.path}@${module.version}/zeros${i}`,
    content: new Uint8Array(100 * 1024 * 1024),
  })),
]);

type Row = {
  readonly why: string;
  readonly path: string;
  /** What a good upstream would have given; several where the file changes. */
  readonly right: readonly Uint8Array[];
  readonly file: FaultyFile;
  /** `right`: every client has it. `error`: none has. `either`: a cut is as good. */
  readonly expect: 'right' | 'error' | 'either';
  /** Whether it is kept: never anything wrong. */
  readonly isKept: boolean;
};

const ZIP = `${base}.zip`;
const MOD = `${base}.mod`;
const INFO = `${base}.info`;
const LIST = `${module.path}/@v/list`;

const first = (bytes: number) => (nth: number) => (nth === 0 ? bytes : undefined);

const rows: readonly Row[] = [
  ...[
    { why: 'a strong ETag', file: { etag: '"e"' } },
    { why: 'a date', file: { lastModified: 'Sat, 03 Feb 2024 04:05:06 GMT' } },
    { why: 'no validator', file: {} },
    { why: 'a weak ETag', file: { etag: 'W/"e"' } },
  ].map(({ why, file }) => ({
    ...{ why: `every connection cut after 1,000,000 bytes, ${why}`, path: ZIP, right: [zips.large] },
    ...{ file: { ...file, bytes: zips.large, cutAfter: MB }, expect: 'right' as const, isKept: true },
  })),
  {
    ...{ why: 'connections reset in the middle', path: ZIP, right: [zips.large] },
    file: { bytes: zips.large, etag: '"e"', cutAfter: MB, cutBy: 'reset' },
    ...{ expect: 'right', isKept: true },
  },
  {
    ...{ why: 'every second answer is 502 (zip)', path: ZIP, right: [zips.small] },
    file: { bytes: zips.small, status: (nth) => (nth % 2 === 0 ? 502 : 200) },
    ...{ expect: 'right', isKept: true },
  },
  {
    ...{ why: 'five 502 in a row (.mod)', path: MOD, right: [mod] },
    file: { bytes: mod, status: (nth) => (nth < 5 ? 502 : 200) },
    ...{ expect: 'right', isKept: true },
  },
  {
    ...{ why: 'every second answer is 502, the others are cut', path: ZIP, right: [zips.large] },
    file: { bytes: zips.large, etag: '"e"', cutAfter: MB, status: (nth) => (nth % 2 === 0 ? 502 : 200) },
    ...{ expect: 'right', isKept: true },
  },
  {
    ...{ why: 'only 502 (.info)', path: INFO, right: [info], file: { status: 502, text: 'bad' } },
    ...{ expect: 'error', isKept: false },
  },
  {
    ...{ why: 'only 500 (list)', path: LIST, right: [list], file: { status: 500, text: 'bad' } },
    ...{ expect: 'error', isKept: false },
  },
  {
    ...{ why: 'only 403 (.mod)', path: MOD, right: [mod], file: { status: 403, text: 'no' } },
    ...{ expect: 'error', isKept: false },
  },
  {
    ...{ why: 'connections closed without a head', path: MOD, right: [mod], file: { isHungUp: true } },
    ...{ expect: 'error', isKept: false },
  },
  {
    ...{ why: 'Range ignored, each connection a little longer', path: ZIP, right: [zips.large] },
    file: { bytes: zips.large, range: 'ignore', cutAfter: (nth) => (nth + 1) * MB },
    ...{ expect: 'right', isKept: true },
  },
  {
    ...{ why: 'Range ignored, and always cut at the same byte', path: ZIP, right: [zips.large] },
    file: { bytes: zips.large, range: 'ignore', cutAfter: MB },
    ...{ expect: 'error', isKept: false },
  },
  {
    ...{ why: 'Range answered one byte off', path: ZIP, right: [zips.large] },
    file: { bytes: zips.large, etag: '"e"', range: 'shifted', cutAfter: first(MB) },
    ...{ expect: 'either', isKept: true },
  },
  {
    ...{ why: 'another file at the second try, as its ETag says', path: ZIP, right: [zips.large] },
    file: {
      bytes: (nth) => (nth === 0 ? otherNames : zips.large),
      etag: (nth) => `"${nth === 0 ? 'old' : 'new'}"`,
      cutAfter: first(MB),
    },
    ...{ expect: 'error', isKept: true },
  },
  {
    ...{ why: 'another file at the second try, and no validator', path: ZIP, right: [zips.large] },
    file: { bytes: (nth) => (nth === 0 ? otherNames : zips.large), cutAfter: first(MB) },
    ...{ expect: 'error', isKept: true },
  },
  {
    why: 'another file at the second try that differs only before the break',
    ...{ path: ZIP, right: [zips.large], expect: 'error', isKept: false },
    file: { bytes: (nth) => (nth === 0 ? twin : zips.large), cutAfter: first(MB) },
  },
  {
    ...{ why: 'another .mod at the second try', path: MOD, right: [mod] },
    file: { bytes: (nth) => (nth === 0 ? Buffer.alloc(200, 'x\n') : mod), cutAfter: first(20) },
    ...{ expect: 'right', isKept: true },
  },
  {
    ...{ why: 'gone at the second try', path: ZIP, right: [zips.large] },
    file: { bytes: zips.large, etag: '"e"', cutAfter: MB, status: (nth) => (nth === 0 ? 200 : 404) },
    ...{ expect: 'error', isKept: false },
  },
  ...[
    { why: 'fewer bytes than promised (zip)', path: ZIP, right: zips.large },
    { why: 'fewer bytes than promised (.mod)', path: MOD, right: mod },
  ].map(({ why, path, right }) => ({
    ...{ why, path, right: [right], file: { bytes: right, lengthOff: 100 } },
    ...{ expect: 'error' as const, isKept: false },
  })),
  {
    ...{ why: 'more bytes than promised', path: ZIP, right: [zips.large] },
    file: { bytes: zips.large, lengthOff: -100 },
    ...{ expect: 'error', isKept: false },
  },
  ...[
    { why: 'chunked, no length (zip)', path: ZIP, right: zips.large, cut: false },
    { why: 'chunked, no length (small zip)', path: ZIP, right: zips.small, cut: false },
    { why: 'chunked, no length (.info)', path: INFO, right: info, cut: false },
    { why: 'chunked, no length, cut', path: ZIP, right: zips.large, cut: true },
  ].map(({ why, path, right, cut }) => ({
    ...{ why, path, right: [right], expect: 'right' as const, isKept: true },
    file: { bytes: right, isChunked: true, ...(cut && { cutAfter: MB }) },
  })),
  ...[
    { why: 'gzip unasked (zip)', path: ZIP, right: zips.large },
    { why: 'gzip unasked (.info)', path: INFO, right: info },
    { why: 'gzip unasked (list)', path: LIST, right: list },
  ].map(({ why, path, right }) => ({
    ...{ why, path, right: [right], file: { bytes: right, isGzipped: true } },
    ...{ expect: 'right' as const, isKept: true },
  })),
  {
    ...{ why: 'gzip unasked, cut once', path: ZIP, right: [zips.large] },
    file: { bytes: zips.large, isGzipped: true, cutAfter: first(MB) },
    ...{ expect: 'right', isKept: true },
  },
  ...[ZIP, MOD].map((path) => ({
    ...{ why: `redirects in a circle (${path.slice(-3)})`, path, right: [] },
    file: { status: 302, headers: { location: `/${path}` } },
    ...{ expect: 'error' as const, isKept: false },
  })),
  ...[ZIP, MOD, INFO, LIST].flatMap((path) =>
    ['text/html; charset=utf-8', 'application/octet-stream'].map((type) => ({
      ...{ why: `a web page as 200, ${type} (${path.slice(-4)})`, path, right: [] },
      file: { bytes: Buffer.from('<!DOCTYPE html><html>log in here</html>'), type },
      ...{ expect: 'error' as const, isKept: false },
    })),
  ),
  {
    ...{ why: 'one byte a second (.info)', path: INFO, right: [info] },
    file: { bytes: info, pieceBytes: 1, pauseMs: 1000 },
    ...{ expect: 'right', isKept: true },
  },
  {
    ...{ why: 'a zip bomb', path: ZIP, right: [], file: { bytes: bomb } },
    ...{ expect: 'error', isKept: false },
  },
  ...[
    { why: 'a zip with other names', bytes: otherNames },
    { why: 'a small zip with other names', bytes: otherNamesSmall },
    { why: 'a zip that is none', bytes: Buffer.alloc(MB, 'no zip ') },
    { why: 'a zip without its end', bytes: zips.large.subarray(0, -300) },
    { why: 'an empty zip', bytes: Buffer.alloc(0) },
  ].map(({ why, bytes }) => ({
    ...{ why, path: ZIP, right: [], file: { bytes }, expect: 'error' as const, isKept: false },
  })),
  ...[
    { why: 'a .info of another version', text: '{"Version":"v1.0.1"}' },
    { why: 'a .info that is cut JSON', text: '{"Version":"v1.0' },
    { why: 'an empty .info', text: '' },
  ].map(({ why, text }) => ({
    ...{ why, path: INFO, right: [], file: { bytes: Buffer.from(text) } },
    ...{ expect: 'error' as const, isKept: false },
  })),
  {
    ...{ why: 'stalls in the middle, once', path: ZIP, right: [zips.large] },
    file: { bytes: zips.large, etag: '"e"', stallAfter: first(MB) },
    ...{ expect: 'right', isKept: true },
  },
  {
    ...{ why: 'takes the request and never answers', path: MOD, right: [mod], file: { isSilent: true } },
    ...{ expect: 'error', isKept: false },
  },
];

let scratch: string;

before(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'astera-faults-'));
});

after(() => rm(scratch, { recursive: true, force: true }));

describe('faults', { concurrency: 4 }, () => {
  // The long waits first, so that the others fill them.
  for (const [at, row] of rows.toReversed().entries()) {
    test(row.why, { timeout: 120_000 }, async () => {
      const upstream = await FaultyUpstream.start();
      upstream.serve(row.path, row.file);
      const astera = await Astera.start(options(upstream, `${at}.db`));
      try {
        const outcomes = await askTogether(CLIENTS, `${astera.url}/${row.path}`);
        for (const outcome of outcomes) judge(outcome, row);
        await astera.stop();
        assertKept(astera.db, row);
      } finally {
        await astera.dispose();
        await upstream.close();
      }
    });
  }
});

function options(upstream: FaultyUpstream, db: string) {
  return { upstream: upstream.url, db: join(scratch, db), flags: ['--verify', 'off'] };
}

function judge({ status, body, isWhole, headers }: Outcome, { right, expect }: Row): void {
  const what = `${status}, ${body.length} bytes, ${isWhole ? 'whole' : 'cut'}: ${body.subarray(0, 200)}`;
  if (status === 200 && isWhole) {
    assert.ok(
      right.some((bytes) => body.equals(bytes)),
      `a clean end of a wrong body: ${what}`,
    );
    assert.notEqual(expect, 'error', what);
    return;
  }
  assert.notEqual(expect, 'right', what);
  if (status === 200) return; // It had begun: a cut is all that can be said.
  assert.ok(status === 502 || status === 504, what);
  assert.ok(isWhole);
  assert.match(String(headers['content-type']), /^text\/plain/);
  assert.match(body.toString(), /^cannot [\x20-\x7e]{10,600}\n$/);
}

/** Nothing but right bytes is under any key, and the store is whole. */
function assertKept(db: string, { path, right, isKept }: Row): void {
  assertWhole(db);
  const stored = query(db, "SELECT key || ' ' || status || ' ' || lower(hex(sha256)) FROM entry");
  const good = right.map((bytes) => `${path} 200 ${createHash('sha256').update(bytes).digest('hex')}`);
  if (!isKept) assert.deepEqual(stored, []);
  else assert.ok(stored.length === 1 && good.includes(String(stored[0])), String(stored));
}

for (const [why, validators] of [
  ['a strong ETag', { etag: '"e"' }],
  ['no validator', {}],
] as const) {
  test(`20 MB, cut every 1,000,000 bytes, ${why}: at most 1 MB more than its size`, async () => {
    const upstream = await FaultyUpstream.start();
    upstream.serve(ZIP, { ...validators, bytes: zips.huge, cutAfter: MB });
    const astera = await Astera.start(options(upstream, `huge-${Object.keys(validators)}.db`));
    try {
      for (const { body, isWhole } of await askTogether(CLIENTS, `${astera.url}/${ZIP}`)) {
        assert.ok(isWhole && body.equals(zips.huge), `${body.length} bytes, ${isWhole}`);
      }
      assert.ok(upstream.bytesSent <= zips.huge.length + MB, `${upstream.bytesSent} bytes`);
      await astera.stop();
      assertWhole(astera.db);
    } finally {
      await astera.dispose();
      await upstream.close();
    }
  });

  test(`20 MB, cut every 1,000,000 bytes and killed three times, ${why}: at most a chunk more for each kill`, async () => {
    const upstream = await FaultyUpstream.start();
    const kills = [5, 10, 15];
    // Each time the server is killed the upstream has said its last byte a while after a break.
    upstream.serve(ZIP, {
      ...{ ...validators, bytes: zips.huge, cutAfter: MB },
      stallAfter: (nth) => (kills.includes(nth) ? STALL_AFTER : undefined),
    });
    const db = `killed-${Object.keys(validators)}.db`;
    let astera = await Astera.start(options(upstream, db));
    try {
      for (const nth of kills) {
        const cut = ask(`${astera.url}/${ZIP}`);
        await upstream.asked(nth + 1);
        await upstream.stuck();
        await allStored(astera.db, upstream);
        await astera.kill();
        assert.equal((await cut).isWhole, false);
        assertWhole(astera.db);
        astera = await Astera.start(options(upstream, db));
      }
      const { body, isWhole } = await ask(`${astera.url}/${ZIP}`);
      assert.ok(isWhole && body.equals(zips.huge), `${body.length} bytes, ${isWhole}`);
      const overlaps = upstream.seen.length * RESUME_TAIL_BYTES;
      const more = upstream.bytesSent - zips.huge.length - ('etag' in validators ? 0 : overlaps);
      assert.ok(more <= kills.length * CHUNK_BYTES, `${more} bytes more`);
      await astera.stop();
      assertWhole(astera.db);
    } finally {
      await astera.dispose();
      await upstream.close();
    }
  });
}

/** Until every whole chunk of what came is in the store: on a poor line that is always so. */
async function allStored(db: string, upstream: FaultyUpstream): Promise<void> {
  const from = /^bytes=(\d+)-$/.exec(upstream.seen.at(-1)?.headers.range ?? '')?.[1];
  const chunks = Math.floor((Number(from) + STALL_AFTER) / CHUNK_BYTES);
  while (Number(query(db, 'SELECT count(*) FROM chunk')[0]) < chunks) await delay(20);
}
