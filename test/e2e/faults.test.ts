// Goal: whatever the line or the upstream does, clients get the right bytes or a clear error, never a
// clean end of a wrong body, never a 404 for a fault; and nothing wrong is kept.
// Method: a real server before an upstream that plays one fault a row, four clients at once, then a look
// into the SQLite file. Long waits (the server's own 30 s for silence) run beside the rest.

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { crc32, deflateRawSync } from 'node:zlib';
import { CHUNK_BYTES, RESUME_TAIL_BYTES } from '../../src/core/limits.ts';
import { makeZip } from '../modzip/zip-writer.ts';
import { assertWhole, query, sha256Of } from '../store/stores.ts';
import { Astera } from '../support/astera.ts';
import { type FaultyFile, FaultyUpstream } from '../support/faulty-upstream.ts';
import { madeUpFiles } from '../support/module-zip.ts';
import { ask, askTogether, type Outcome } from '../support/raw-client.ts';

const MB = 1_000_000;
const CLIENTS = 4;
const STALL_AFTER = 300_000;

/** What a good upstream would give of one module, and what it must not. */
function filesOf(index: number) {
  const module = { path: `fault.example/m${index}`, version: 'v1.0.0' };
  const base = `${module.path}/@v/${module.version}`;
  const prefix = `${module.path}@${module.version}/`;
  const large = madeUpFiles({ ...module, contentBytes: 3 * MB }).zip;
  const twin = Buffer.from(large);
  for (let at = 200_000; at < 200_100; at++) twin[at] = (twin[at] ?? 0) ^ 0xff;
  return {
    paths: { zip: `${base}.zip`, mod: `${base}.mod`, info: `${base}.info`, list: `${module.path}/@v/list` },
    small: madeUpFiles({ ...module, contentBytes: 50_000 }).zip,
    /** A few chunks, so that clients have some of it before its end. */
    large,
    /** Another file of the same size, which differs in the first chunk only. */
    twin,
    /** The zip of another version: whole and well-formed, but not what was asked for. */
    other: madeUpFiles({ ...module, version: 'v1.0.1', contentBytes: 3 * MB }).zip,
    otherSmall: madeUpFiles({ ...module, version: 'v1.0.1', contentBytes: 9_000 }).zip,
    /** 600 MiB of zeros in a few hundred KB, as its directory says itself. */
    bomb: () => makeZip(Array.from({ length: 6 }, (_, i) => ({ ...zeros(), name: `${prefix}zeros${i}` }))),
    mod: Buffer.from(`module ${module.path}\n\ngo 1.21\n`),
    info: Buffer.from('{"Version":"v1.0.0"}'),
    list: Buffer.from('v1.0.0\nv1.1.0\n'),
  };
}

/** 100 MiB of them, deflated. */
function zeros() {
  const content = Buffer.alloc(100 * 1024 * 1024);
  return { body: deflateRawSync(content), bytes: content.length, crc: crc32(content) };
}

type Files = ReturnType<typeof filesOf>;
type Kind = keyof Files['paths'];
type Right = 'small' | 'large' | 'mod' | 'info' | 'list' | 'nothing';

type Row = {
  readonly why: string;
  readonly kind: Kind;
  /** What a good upstream would have given. */
  readonly right: Right;
  readonly file: (files: Files) => FaultyFile;
  /** `right`: every client has it. `error`: none has. `cut`: none has, and each had begun. `either`: a cut is as good. */
  readonly expect: 'right' | 'error' | 'cut' | 'either';
  /** Whether what is right is kept in the end: nothing wrong ever is. */
  readonly isKept: boolean;
};

const first = (bytes: number) => (nth: number) => (nth === 0 ? bytes : undefined);

/** Every client gets the right bytes, and they are kept. */
function survives(why: string, right: Exclude<Right, 'nothing'>, file: Row['file']): Row {
  const kind = right === 'small' || right === 'large' ? 'zip' : right;
  return { why: `${why} (${right})`, kind, right, file, expect: 'right', isKept: true };
}

/** No client gets a 200 that ends cleanly, and nothing is kept. */
function fails(why: string, kind: Kind, file: Row['file'], expect: 'error' | 'cut' = 'error'): Row {
  return { why: `${why} (${kind})`, kind, right: 'nothing', file, expect, isKept: false };
}

const rows: readonly Row[] = [
  ...[
    { says: 'a strong ETag', validators: { etag: '"e"' } },
    { says: 'a date', validators: { lastModified: 'Sat, 03 Feb 2024 04:05:06 GMT' } },
    { says: 'no validator', validators: {} },
    { says: 'a weak ETag', validators: { etag: 'W/"e"' } },
  ].map(({ says, validators }) =>
    survives(`every connection cut after 1,000,000 bytes, ${says}`, 'large', ({ large }) => ({
      ...{ ...validators, bytes: large, cutAfter: MB },
    })),
  ),
  survives('connections reset in the middle', 'large', ({ large }) => ({
    ...{ bytes: large, etag: '"e"', cutAfter: MB, cutBy: 'reset' },
  })),
  survives('every second answer is 502', 'small', ({ small }) => ({
    ...{ bytes: small, status: (nth) => (nth % 2 === 0 ? 502 : 200) },
  })),
  survives('five 502 in a row', 'mod', ({ mod }) => ({
    ...{ bytes: mod, status: (nth) => (nth < 5 ? 502 : 200) },
  })),
  survives('every second answer is 502, the others are cut', 'large', ({ large }) => ({
    ...{ bytes: large, etag: '"e"', cutAfter: MB, status: (nth) => (nth % 2 === 0 ? 502 : 200) },
  })),
  fails('only 502', 'info', () => ({ status: 502, text: 'bad' })),
  fails('only 500', 'list', () => ({ status: 500, text: 'bad' })),
  fails('only 403', 'mod', () => ({ status: 403, text: 'no' })),
  fails('connections closed without a head', 'mod', () => ({ isHungUp: true })),
  survives('Range ignored, each connection a little longer', 'large', ({ large }) => ({
    ...{ bytes: large, range: 'ignore', cutAfter: (nth) => (nth + 1) * MB },
  })),
  fails(
    'Range ignored, and always cut at the same byte',
    'zip',
    ({ large }) => ({ bytes: large, range: 'ignore', cutAfter: MB }),
    'cut',
  ),
  {
    ...{ why: 'Range answered one byte off', kind: 'zip', right: 'large', expect: 'either', isKept: true },
    file: ({ large }) => ({ bytes: large, etag: '"e"', range: 'shifted', cutAfter: first(MB) }),
  },
  {
    ...{ why: 'another file at the second try, as its ETag says', kind: 'zip', right: 'large' },
    file: ({ large, other }) => ({
      bytes: (nth) => (nth === 0 ? other : large),
      etag: (nth) => `"${nth === 0 ? 'old' : 'new'}"`,
      cutAfter: first(MB),
    }),
    ...{ expect: 'cut', isKept: true },
  },
  {
    ...{ why: 'another file at the second try, and no validator', kind: 'zip', right: 'large' },
    file: ({ large, other }) => ({ bytes: (nth) => (nth === 0 ? other : large), cutAfter: first(MB) }),
    ...{ expect: 'cut', isKept: true },
  },
  fails(
    'another file at the second try, which differs only before the break',
    'zip',
    ({ large, twin }) => ({ bytes: (nth) => (nth === 0 ? twin : large), cutAfter: first(MB) }),
    'cut',
  ),
  survives('another file at the second try', 'mod', ({ mod }) => ({
    ...{ bytes: (nth) => (nth === 0 ? Buffer.alloc(200, 'x\n') : mod), cutAfter: first(20) },
  })),
  fails(
    'gone at the second try',
    'zip',
    ({ large }) => ({
      ...{ bytes: large, etag: '"e"', cutAfter: MB, status: (nth) => (nth === 0 ? 200 : 404) },
    }),
    'cut',
  ),
  fails('fewer bytes than promised', 'zip', ({ large }) => ({ bytes: large, lengthOff: 100 }), 'cut'),
  fails('fewer bytes than promised', 'mod', ({ mod }) => ({ bytes: mod, lengthOff: 100 })),
  fails('more bytes than promised', 'zip', ({ large }) => ({ bytes: large, lengthOff: -100 }), 'cut'),
  ...(['large', 'small', 'info'] as const).map((right) =>
    survives('chunked, no length', right, (files) => ({ bytes: files[right], isChunked: true })),
  ),
  survives('chunked, no length, cut', 'large', ({ large }) => ({
    ...{ bytes: large, isChunked: true, cutAfter: MB },
  })),
  ...(['large', 'small', 'info', 'mod', 'list'] as const).map((right) =>
    survives('gzip unasked', right, (files) => ({ bytes: files[right], isGzipped: true })),
  ),
  survives('gzip unasked, cut once', 'large', ({ large }) => ({
    ...{ bytes: large, isGzipped: true, cutAfter: first(MB) },
  })),
  ...(['zip', 'mod'] as const).map((kind) =>
    fails('redirects in a circle', kind, ({ paths }) => ({
      ...{ status: 302, headers: { location: `/${paths[kind]}` } },
    })),
  ),
  ...(['zip', 'mod', 'info', 'list'] as const).flatMap((kind) =>
    ['text/html; charset=utf-8', 'application/octet-stream'].map((type) =>
      fails(`a web page as 200, ${type}`, kind, () => ({
        ...{ bytes: Buffer.from('<!DOCTYPE html><html>log in here</html>'), type },
      })),
    ),
  ),
  survives('one byte a second', 'info', ({ info }) => ({ bytes: info, pieceBytes: 1, pauseMs: 1000 })),
  fails('a bomb', 'zip', ({ bomb }) => ({ bytes: bomb() }), 'cut'),
  fails('other names', 'zip', ({ other }) => ({ bytes: other }), 'cut'),
  fails('other names, in less than a chunk', 'zip', ({ otherSmall }) => ({ bytes: otherSmall })),
  fails('no zip', 'zip', () => ({ bytes: Buffer.alloc(MB, 'no zip ') }), 'cut'),
  fails('without its end', 'zip', ({ large }) => ({ bytes: large.subarray(0, -300) }), 'cut'),
  fails('empty', 'zip', () => ({ bytes: Buffer.alloc(0) })),
  fails('of another version', 'info', () => ({ bytes: Buffer.from('{"Version":"v1.0.1"}') })),
  fails('half of its JSON', 'info', () => ({ bytes: Buffer.from('{"Version":"v1.0') })),
  fails('empty', 'info', () => ({ bytes: Buffer.alloc(0) })),
];

/** Silence marks an upstream as down, so that these have one to themselves. */
const silences: readonly Row[] = [
  survives('no byte for 30 s in the middle, once', 'large', ({ large }) => ({
    ...{ bytes: large, etag: '"e"', stallAfter: first(MB) },
  })),
  fails('takes the request and never answers', 'mod', () => ({ isSilent: true })),
];

const huge = { path: 'fault.example/huge', version: 'v1.0.0', contentBytes: 20 * MB };
const hugeZip = madeUpFiles(huge).zip;
const ZIP = `${huge.path}/@v/${huge.version}.zip`;

let scratch: string;

before(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'astera-faults-'));
});

after(() => rm(scratch, { recursive: true, force: true }));

describe('faults', { concurrency: true }, () => {
  describe('at one server', { concurrency: 1 }, () => {
    const all = rows.map((row, index) => ({ row, index, files: filesOf(index) }));
    let upstream: FaultyUpstream;
    let astera: Astera;

    before(async () => {
      upstream = await FaultyUpstream.start();
      for (const { row, files } of all) upstream.serve(files.paths[row.kind], row.file(files));
      astera = await Astera.start(options(upstream, 'all.db'));
    });

    after(async () => {
      await astera.dispose();
      await upstream.close();
    });

    describe('clients', { concurrency: 4 }, () => {
      for (const { row, files } of all) {
        test(row.why, { timeout: 60_000 }, () => assertServed(astera, row, files));
      }
    });

    test('nothing wrong was kept, and all that was right', async () => {
      await astera.stop();
      assertWhole(astera.db);
      for (const { row, files } of all) assertKept(astera.db, row, files);
    });
  });

  for (const [at, row] of silences.entries()) {
    test(row.why, { timeout: 120_000 }, async () => {
      const files = filesOf(at);
      const upstream = await FaultyUpstream.start();
      upstream.serve(files.paths[row.kind], row.file(files));
      const astera = await Astera.start(options(upstream, `${at}.db`));
      try {
        await assertServed(astera, row, files);
        await astera.stop();
        assertWhole(astera.db);
        assertKept(astera.db, row, files);
      } finally {
        await astera.dispose();
        await upstream.close();
      }
    });
  }

  test('--first-byte-wait is waited once, and other paths are there meanwhile and afterwards', async () => {
    const upstream = await FaultyUpstream.start();
    const { paths, list, info } = filesOf(0);
    upstream.serve(paths.mod, { isSilent: true });
    upstream.serve(paths.list, { bytes: list });
    upstream.serve(paths.info, { bytes: info });
    const flags = ['--verify', 'off', '--first-byte-wait', '3s'];
    const astera = await Astera.start({ ...options(upstream, 'wait.db'), flags });
    try {
      const slow = ask(`${astera.url}/${paths.mod}`);
      await upstream.asked(1);
      assert.equal((await ask(`${astera.url}/${paths.list}`)).status, 200);
      const { status, body } = await slow;
      assert.equal(status, 504);
      assert.match(body.toString(), /no answer in time/);
      assert.equal(upstream.requestsFor(paths.mod).length, 1);
      assert.equal((await ask(`${astera.url}/${paths.info}`)).status, 200);
    } finally {
      await astera.dispose();
      await upstream.close();
    }
  });

  for (const [why, validators] of [
    ['a strong ETag', { etag: '"e"' }],
    ['no validator', {}],
  ] as const) {
    test(`20 MB, cut every 1,000,000 bytes, ${why}: at most 1 MB more than its size`, async () => {
      const upstream = await FaultyUpstream.start();
      upstream.serve(ZIP, { ...validators, bytes: hugeZip, cutAfter: MB });
      const astera = await Astera.start(options(upstream, `huge-${Object.keys(validators)}.db`));
      try {
        for (const { body, isWhole } of await askTogether(CLIENTS, `${astera.url}/${ZIP}`)) {
          assert.ok(isWhole && body.equals(hugeZip), `${body.length} bytes, ${isWhole}`);
        }
        assert.ok(upstream.bytesSent <= hugeZip.length + MB, `${upstream.bytesSent} bytes`);
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
        ...{ ...validators, bytes: hugeZip },
        cutAfter: (nth) => (kills.includes(nth) ? undefined : MB),
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
        assert.ok(isWhole && body.equals(hugeZip), `${body.length} bytes, ${isWhole}`);
        const overlaps = upstream.seen.length * RESUME_TAIL_BYTES;
        const more = upstream.bytesSent - hugeZip.length - ('etag' in validators ? 0 : overlaps);
        const asked = upstream.seen.map(({ headers }) => headers.range ?? 'all').join(' ');
        assert.ok(more <= kills.length * CHUNK_BYTES, `${more} bytes more: ${asked}`);
        await astera.stop();
        assertWhole(astera.db);
      } finally {
        await astera.dispose();
        await upstream.close();
      }
    });
  }
});

function options(upstream: FaultyUpstream, db: string) {
  return {
    upstream: upstream.url,
    db: join(scratch, db),
    flags: ['--verify', 'off', '--first-byte-wait', '10s'],
  };
}

async function assertServed(astera: Astera, row: Row, files: Files): Promise<void> {
  const url = `${astera.url}/${files.paths[row.kind]}`;
  const right = row.right === 'nothing' ? undefined : files[row.right];
  for (const outcome of await askTogether(CLIENTS, url)) assertOutcome(outcome, row, right);
  if (row.expect === 'right' || !row.isKept) return;
  const { body, isWhole } = await ask(url);
  assert.ok(isWhole && right && body.equals(right), 'who comes after the change gets the new file');
}

function assertOutcome({ status, body, isWhole, headers }: Outcome, { expect }: Row, right?: Buffer): void {
  const what = `${status}, ${body.length} bytes, ${isWhole ? 'whole' : 'cut'}: ${body.subarray(0, 200)}`;
  if (status === 200 && isWhole) {
    assert.ok(right && body.equals(right), `a clean end of a wrong body: ${what}`);
    assert.ok(expect === 'right' || expect === 'either', what);
  } else if (status === 200) {
    assert.ok(expect === 'cut' || expect === 'either', what); // It had begun: no more can be said.
  } else {
    assert.ok(expect === 'error' || expect === 'either', what);
    assert.ok(isWhole && (status === 502 || status === 504), what);
    assert.match(String(headers['content-type']), /^text\/plain/);
    assert.match(body.toString(), /^cannot [\x20-\x7e]{10,600}\n$/);
  }
}

/** What is under the row's key: the right bytes, or nothing. */
function assertKept(db: string, row: Row, files: Files): void {
  const key = files.paths[row.kind];
  const sha256 = row.isKept && row.right !== 'nothing' ? sha256Of(files[row.right]) : undefined;
  const wanted = sha256 === undefined ? [] : [`200 ${sha256}`];
  const stored = query(db, `SELECT status || ' ' || lower(hex(sha256)) FROM entry WHERE key = '${key}'`);
  assert.deepEqual(stored, wanted, row.why);
}

/** Until every whole chunk of what came is in the store: on a poor line that is always so. */
async function allStored(db: string, upstream: FaultyUpstream): Promise<void> {
  const from = /^bytes=(\d+)-$/.exec(upstream.seen.at(-1)?.headers.range ?? '')?.[1];
  const chunks = Math.floor((Number(from) + STALL_AFTER) / CHUNK_BYTES);
  while (Number(query(db, 'SELECT count(*) FROM chunk')[0]) < chunks) await delay(20);
}
