// Goal: clients get the right bytes as they come, and never a wrong body with a clean end. A later download goes on
// from the stored chunks of a broken one.
// Method: downloads over a real store. The upstream sends each event when the test says so.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { ByteStream } from '../../src/core/answer.ts';
import type { VerifyMode } from '../../src/core/checksums.ts';
import { Busy, type ServeError, StoreFailed, UpstreamDown, UpstreamFailed } from '../../src/core/errors.ts';
import { CHUNK_BYTES, RESUME_TAIL_BYTES } from '../../src/core/limits.ts';
import { parseResource } from '../../src/core/resource.ts';
import { YoungGarbage } from '../../src/flight/young-garbage.ts';
import { Download } from '../../src/modules/download.ts';
import { WINDOW_CHUNKS_MAX } from '../../src/modules/limits.ts';
import { assertWhole, contentOf, execute } from '../store/stores.ts';
import {
  makeRig,
  openLocalStore,
  type Rig,
  type RigOptions,
  readAll,
  Script,
  settled,
  start,
} from '../support/fakes.ts';
import { tempDir } from '../support/temp-dir.ts';

const ZIP = 'example.com/a/@v/v1.0.0.zip';

/** Bytes that differ everywhere, so that a test sees a wrong piece. */
function noise(size: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(size);
  let state = seed;
  for (let i = 0; i < size; i++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    bytes[i] = state >>> 16;
  }
  return bytes;
}

function scripted(t: TestContext, options: RigOptions = {}): { rig: Rig; script: Script } {
  const store = openLocalStore(join(tempDir(t), 'a.db'));
  t.after(() => store.close());
  const rig = makeRig(store, options);
  const script = new Script();
  rig.upstream.scripts.set(ZIP, script);
  return { rig, script };
}

/** The body of an answer that still arrives. */
async function open(rig: Rig): Promise<ByteStream> {
  const { body } = await rig.get(ZIP);
  assert.ok(body !== undefined && !(body instanceof Uint8Array));
  return body;
}

function assertSame(actual: Uint8Array, expected: Uint8Array, what = 'bytes'): void {
  assert.ok(Buffer.from(actual).equals(Buffer.from(expected)), `${what}: ${actual.byteLength} bytes differ`);
}

const sizes = [
  1,
  1_000,
  CHUNK_BYTES - 1,
  CHUNK_BYTES,
  CHUNK_BYTES + 1,
  3 * CHUNK_BYTES,
  3 * CHUNK_BYTES + 500,
];

for (const isSized of [true, false]) {
  for (const size of sizes) {
    test(`${size} bytes ${isSized ? 'of a known' : 'of an unknown'} length come out as they went in, and are kept`, async (t) => {
      const { rig, script } = scripted(t);
      const zip = noise(size);
      const answer = rig.get(ZIP);
      await script.send(start({ size: isSized ? size : undefined, etag: '"e"' }));
      for (let at = 0; at < size; at += 70_000) await script.bytes(zip.slice(at, at + 70_000));
      script.end();
      const { body, size: told } = await answer;
      assert.ok(told === size || (told === undefined && !isSized));
      assertSame(await readAll(body), zip);
      await settled();
      for (const again of [rig, rig.restarted({ isOffline: true })]) {
        const { origin, body: kept, sha256 } = await again.get(ZIP);
        assert.equal(origin, again === rig ? 'memory' : 'store');
        assert.match(String(sha256), /^[0-9a-f]{64}$/);
        assertSame(await readAll(kept), zip, origin);
      }
      assertWhole(rig.store.path);
    });
  }
}

test('forty readers that start at different times and read at different paces all get the right bytes', async (t) => {
  const { rig, script } = scripted(t);
  const zip = noise(6 * CHUNK_BYTES + 777);
  const readers: Promise<Uint8Array>[] = [];
  const join40 = async (count: number) => {
    for (let i = 0; i < count; i++) {
      const body = await open(rig);
      readers.push(readSlowly(body, readers.length));
    }
  };
  const first = join40(1);
  await script.send(start({ size: zip.byteLength, etag: '"e"' }));
  await first;
  for (let at = 0; at < zip.byteLength; at += 50_000) {
    await script.bytes(zip.slice(at, at + 50_000));
    if (readers.length < 40) await join40(3);
  }
  script.end();
  const all = await Promise.all(readers);
  assert.ok(all.length >= 40);
  for (const [i, bytes] of all.entries()) assertSame(bytes, zip, `reader ${i}`);
  assert.equal(rig.upstream.asked.length, 1);
});

/** Takes `pace` turns between two pieces, and no more than `1000 * (pace + 1)` bytes of each. */
async function readSlowly(body: ByteStream, pace: number): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for (let at = 0; ; ) {
    const piece = (await body.at(at)).slice(0, 1_000 * (pace + 1) ** 2);
    if (piece.byteLength === 0) return new Uint8Array(Buffer.concat(parts));
    parts.push(piece);
    at += piece.byteLength;
    for (let turn = 0; turn < pace % 5; turn++) await new Promise((resolve) => setImmediate(resolve));
  }
}

test('the first byte goes out before the last one has come, and the last chunk only after the check', async (t) => {
  const { rig, script } = scripted(t);
  const zip = noise(CHUNK_BYTES + 100);
  const checked = Promise.withResolvers<void>();
  rig.builder.until = checked.promise;
  const opening = open(rig);
  await script.send(start({ size: zip.byteLength, etag: '"e"' }));
  const body = await opening;
  await script.bytes(zip.slice(0, 1_000));
  assertSame(await body.at(0), zip.slice(0, 1_000));
  await script.bytes(zip.slice(1_000));
  script.end();
  assert.equal((await body.at(1_000)).byteLength, CHUNK_BYTES - 1_000);
  let last: Uint8Array | undefined;
  const reading = Promise.resolve(body.at(CHUNK_BYTES)).then((bytes) => {
    last = bytes;
  });
  await settled();
  assert.equal(last, undefined, 'the last chunk is held back');
  checked.resolve();
  await reading;
  assertSame(last ?? new Uint8Array(), zip.slice(CHUNK_BYTES));
  assert.equal((await body.at(zip.byteLength)).byteLength, 0);
});

test('no client gets a clean end of a refused zip, and nothing of it is kept', async (t) => {
  for (const size of [100, 2 * CHUNK_BYTES + 100]) {
    const { rig, script } = scripted(t);
    rig.builder.refuses = 'cannot read zip: not a zip';
    const opening = open(rig);
    await script.send(start({ size, etag: '"e"' }));
    // A zip shorter than a chunk is refused before its headers go out: an error with a text, no cut.
    const reading = assert.rejects(size < CHUNK_BYTES ? opening : opening.then((body) => readAll(body)), {
      kind: 'check-failed',
      message: `cannot take "${ZIP}" from proxy.example: cannot read zip: not a zip`,
    });
    await script.bytes(noise(size));
    script.end();
    await reading;
    await settled();
    assert.deepEqual(await rig.store.getEntry({ key: ZIP }), {});
    assertWhole(rig.store.path);
  }
});

test('a broken download leaves a partial, and the next download goes on after its last whole chunk', async (t) => {
  const { rig, script } = scripted(t);
  const zip = noise(4 * CHUNK_BYTES + 100);
  const opening = open(rig);
  await script.send(start({ size: zip.byteLength, etag: '"e"' }));
  const reading = assert.rejects(readAll(await opening), UpstreamDown);
  await script.bytes(zip.slice(0, 2 * CHUNK_BYTES + 5_000));
  script.fail(new UpstreamDown('cannot reach proxy.example'));
  await reading;
  await settled();

  const next = rig.restarted();
  const again = new Script();
  rig.upstream.scripts.set(ZIP, again);
  const reopening = open(next);
  await again.send(start({ offset: 2 * CHUNK_BYTES, size: zip.byteLength, etag: '"e"' }));
  const resume = rig.upstream.asked[1]?.request.resume;
  assert.equal(resume?.offset, 2 * CHUNK_BYTES);
  assertSame(resume.tail, zip.slice(2 * CHUNK_BYTES - RESUME_TAIL_BYTES, 2 * CHUNK_BYTES), 'tail');
  assert.deepEqual([resume.size, resume.validator], [zip.byteLength, { etag: '"e"' }]);
  const rest = readAll(await reopening);
  await again.bytes(zip.slice(2 * CHUNK_BYTES));
  again.end();
  assertSame(await rest, zip);
  await settled();
  assert.deepEqual(
    rig.builder.checked.map(({ content }) => content),
    [true],
    'the stored ETag is of the first answer: it does not vouch for later joins',
  );
  assertWhole(rig.store.path);
});

/** A store with two chunks of a broken download of `zip`. */
async function broken(t: TestContext, zip: Uint8Array): Promise<Rig> {
  const { rig } = scripted(t);
  rig.upstream.scripts.clear();
  rig.upstream.says.set(ZIP, zip);
  const size = zip.byteLength;
  await rig.store.openBlob({ blob: 9, key: ZIP, size, etag: '"e"', lastModified: undefined, nowMs: 1 });
  for (const seq of [0, 1]) {
    const bytes = zip.slice(seq * CHUNK_BYTES, (seq + 1) * CHUNK_BYTES);
    await rig.store.putChunk({ blob: 9, seq, bytes });
  }
  return rig;
}

const readErrors: { failures: ServeError[]; outcome: 'resumed' | 'from 0' | 'busy'; why: string }[] = [
  { failures: [new StoreFailed('SQLITE_BUSY')], outcome: 'resumed', why: 'one that passes' },
  { failures: [new Busy('reads are waiting')], outcome: 'busy', why: 'a store that is busy' },
  {
    failures: [new StoreFailed('SQLITE_CORRUPT'), new StoreFailed('SQLITE_CORRUPT')],
    outcome: 'from 0',
    why: 'one that stays',
  },
];

for (const { failures, outcome, why } of readErrors) {
  test(`a partial that can't be read: ${why}: ${outcome}`, async (t) => {
    const zip = noise(4 * CHUNK_BYTES);
    const rig = await broken(t, zip);
    const { getChunk } = rig.store;
    const left = [...failures];
    const failing: typeof getChunk = (request) => {
      const failure = left.shift();
      return failure === undefined ? getChunk(request) : Promise.reject(failure);
    };
    Object.assign(rig.store, { getChunk: failing });
    if (outcome === 'busy') {
      await assert.rejects(rig.get(ZIP), Busy);
      assert.equal((await rig.store.getEntry({ key: ZIP })).partial?.chunks, 2, 'it is still there');
    }
    assertSame(await readAll((await rig.get(ZIP)).body), zip);
    await settled();
    const offset = rig.upstream.asked[0]?.request.resume?.offset;
    assert.equal(offset, outcome === 'from 0' ? undefined : 2 * CHUNK_BYTES);
    assertWhole(rig.store.path);
  });
}

test('a zip of no known size that gets too long is refused, and no partial stays', async (t) => {
  const { rig } = scripted(t);
  const script = new Script();
  const resource = parseResource(ZIP);
  assert.ok(resource?.kind === 'zip');
  const { store, memory, builder, clock } = rig;
  const download = new Download({
    ...{ key: ZIP, resource, store, memory, builder, partial: undefined, requestOptions: {} },
    sources: {
      async *stream() {
        for await (const event of script.events()) yield { ...event, source: 'upstream' };
      },
    },
    garbage: new YoungGarbage(),
    wallMs: () => clock.wallMs(),
    onNotStored: () => {},
    bytesMax: 4 * CHUNK_BYTES,
  });
  const refused = assert.rejects(
    download.landed,
    /^UpstreamFailed: cannot take "[^"]+" from [^:]+: larger than/,
  );
  await script.send(start({}));
  await script.bytes(noise(4 * CHUNK_BYTES));
  await settled();
  assert.equal((await store.getEntry({ key: ZIP })).partial?.chunks, 4);
  void script.bytes(noise(1));
  await refused;
  await settled();
  assert.deepEqual(await store.getEntry({ key: ZIP }), {});
  assertWhole(store.path);
});

test('if a chunk is refused for another reason than a full disk, the log says that reason', async (t) => {
  const { rig, script } = scripted(t);
  const zip = noise(3 * CHUNK_BYTES + 100);
  const reasons: string[] = [];
  rig.events.notStored = (_, why) => void reasons.push(why);
  const opening = open(rig);
  await script.send(start({ size: zip.byteLength }));
  const reading = readAll(await opening);
  await script.bytes(zip.slice(0, CHUNK_BYTES));
  await settled();
  const { partial } = await rig.store.getEntry({ key: ZIP });
  await rig.store.dropBlob({ blob: partial?.blob ?? 0 });
  await script.bytes(zip.slice(CHUNK_BYTES));
  script.end();
  assertSame(await reading, zip);
  await settled();
  assert.match(reasons.join(), /^cannot store chunk 1: no blob \d+ grows$/);
});

test('the content is checked too if parts were joined without an ETag', async (t) => {
  const { rig, script } = scripted(t);
  const zip = noise(2 * CHUNK_BYTES);
  const opening = open(rig);
  await script.send(start({ size: zip.byteLength }));
  const reading = readAll(await opening);
  await script.bytes(zip.slice(0, 300_000));
  await script.send(start({ offset: 300_000, size: zip.byteLength }));
  await script.bytes(zip.slice(300_000));
  script.end();
  assertSame(await reading, zip);
  assert.deepEqual(
    rig.builder.checked.map(({ content }) => content),
    [true],
  );
});

test('a download goes on from the gap of a partial', async (t) => {
  const { rig, script } = scripted(t);
  const zip = noise(4 * CHUNK_BYTES + 100);
  const opening = open(rig);
  await script.send(start({ size: zip.byteLength, etag: '"e"' }));
  const reading = assert.rejects(readAll(await opening), UpstreamDown);
  await script.bytes(zip.slice(0, 3 * CHUNK_BYTES));
  script.fail(new UpstreamDown('cannot reach proxy.example'));
  await reading;
  await settled();
  execute(rig.store.path, 'DELETE FROM chunk WHERE id = (SELECT min(id) + 1 FROM chunk)');

  const next = rig.restarted();
  const again = new Script();
  rig.upstream.scripts.set(ZIP, again);
  const reopening = open(next);
  await again.send(start({ offset: CHUNK_BYTES, size: zip.byteLength, etag: '"e"' }));
  assert.equal(rig.upstream.asked[1]?.request.resume?.offset, CHUNK_BYTES);
  const rest = readAll(await reopening);
  await again.bytes(zip.slice(CHUNK_BYTES));
  again.end();
  assertSame(await rest, zip);
  await settled();
  assertWhole(rig.store.path);
});

test('a server that was killed when all chunks were stored fetches the last one again', async (t) => {
  for (const size of [2 * CHUNK_BYTES, 2 * CHUNK_BYTES + 100]) {
    const { rig } = scripted(t);
    rig.upstream.scripts.clear();
    const zip = noise(size);
    rig.upstream.says.set(ZIP, zip);
    await rig.store.openBlob({ blob: 9, key: ZIP, size, etag: '"e"', lastModified: undefined, nowMs: 1 });
    for (let seq = 0; seq * CHUNK_BYTES < size; seq++) {
      const bytes = zip.slice(seq * CHUNK_BYTES, (seq + 1) * CHUNK_BYTES);
      await rig.store.putChunk({ blob: 9, seq, bytes });
    }
    assertSame(await readAll((await rig.get(ZIP)).body), zip);
    await settled();
    const offset = rig.upstream.asked[0]?.request.resume?.offset ?? 0;
    assert.ok(offset >= size - CHUNK_BYTES && offset < size, `asked from ${offset} of ${size}`);
    assertWhole(rig.store.path);
  }
});

test('when the upstream’s file changes, clients with bytes are cut off and clients without are served', async (t) => {
  const { rig, script } = scripted(t);
  const [old, fresh] = [noise(3 * CHUNK_BYTES, 1), noise(3 * CHUNK_BYTES, 2)];
  const opening = open(rig);
  await script.send(start({ size: old.byteLength, etag: '"old"' }));
  const [started, waiting] = [await opening, await open(rig)];
  await script.bytes(old.slice(0, CHUNK_BYTES + 10));
  assertSame((await started.at(0)).slice(0, 10), old.slice(0, 10));
  await script.send(start({ offset: 0, size: fresh.byteLength, etag: '"new"' }));
  const late = await open(rig);
  await script.bytes(fresh);
  script.end();
  assert.throws(() => started.at(10), UpstreamFailed);
  assertSame(await readAll(waiting), fresh);
  assertSame(await readAll(late), fresh);
  await settled();
  assertSame(await readAll((await rig.restarted().get(ZIP)).body), fresh);
  assertWhole(rig.store.path);
});

test('a client that was told another length is cut off when the file starts again', async (t) => {
  const { rig, script } = scripted(t);
  const opening = open(rig);
  await script.send(start({ size: 3 * CHUNK_BYTES, etag: '"old"' }));
  const body = await opening;
  const reading = assert.rejects(readAll(body), UpstreamFailed);
  await script.bytes(noise(1_000));
  await script.send(start({ offset: 0, size: 5_000, etag: '"new"' }));
  await reading;
  await script.bytes(noise(5_000));
  script.end();
});

test('an upstream that goes on at another offset is refused', async (t) => {
  const { rig, script } = scripted(t);
  const opening = open(rig);
  await script.send(start({ size: 3 * CHUNK_BYTES }));
  const reading = assert.rejects(readAll(await opening), UpstreamFailed);
  await script.bytes(noise(1_000));
  void script.send(start({ offset: 2_000, size: 3 * CHUNK_BYTES }));
  await reading;
});

test('an upstream that never begins is an error for all callers, and the next caller asks again', async (t) => {
  const { rig, script } = scripted(t);
  const opening = Promise.allSettled([open(rig), open(rig)]);
  script.fail(new UpstreamDown('cannot reach proxy.example'));
  for (const outcome of await opening) {
    assert.ok(outcome.status === 'rejected' && outcome.reason instanceof UpstreamDown);
  }
  rig.upstream.scripts.clear();
  rig.upstream.says.set(ZIP, noise(100));
  assertSame(await readAll((await rig.get(ZIP)).body), noise(100));
});

test('two keys with equal content are stored once, and both are served', async (t) => {
  const { rig } = scripted(t);
  rig.upstream.scripts.clear();
  const zip = noise(2 * CHUNK_BYTES + 100);
  const other = 'example.com/b/@v/v1.0.0.zip';
  for (const path of [ZIP, other]) {
    rig.upstream.says.set(path, zip);
    assertSame(await readAll((await rig.get(path)).body), zip);
    await settled();
  }
  const entries = await Promise.all([ZIP, other].map((key) => rig.store.getEntry({ key })));
  assert.equal(entries[0]?.entry?.blob, entries[1]?.entry?.blob);
  assertSame(await readAll((await rig.get(other)).body), zip);
  assertWhole(rig.store.path);
});

test('a zip that may be shorter than a chunk is answered only when it is checked', async (t) => {
  const { rig, script } = scripted(t);
  const checked = Promise.withResolvers<void>();
  rig.builder.until = checked.promise;
  let isAnswered = false;
  const asking = rig.get(ZIP).then(() => {
    isAnswered = true;
  });
  await script.send(start({ size: 1_000, etag: '"e"' }));
  await script.bytes(noise(1_000));
  script.end();
  await settled();
  assert.equal(isAnswered, false);
  checked.resolve();
  await asking;
});

// Without room on the disk.

test('with no room a zip is passed through; one that fits the window is stored if there is room at its end', async (t) => {
  const { rig, script } = scripted(t);
  const zip = noise(2 * CHUNK_BYTES + 100);
  rig.store.full = 'disk is full';
  const opening = open(rig);
  await script.send(start({ size: zip.byteLength, etag: '"e"' }));
  const reading = readAll(await opening);
  await script.bytes(zip);
  rig.store.full = undefined;
  script.end();
  assertSame(await reading, zip);
  await settled();
  assertSame(await readAll((await rig.restarted({ isOffline: true }).get(ZIP)).body), zip);
  assertWhole(rig.store.path);
});

test('with no room a large zip goes at the pace of its slowest client; a late client gets Busy', async (t) => {
  const { rig, script } = scripted(t);
  const zip = noise((WINDOW_CHUNKS_MAX + 4) * CHUNK_BYTES + 100);
  rig.store.full = 'disk is full';
  const opening = open(rig);
  await script.send(start({ size: zip.byteLength, etag: '"e"' }));
  const [fast, slow] = [await opening, await open(rig)];
  const reading = readAll(fast);
  void slow.at(0); // It is there, and takes nothing yet.
  let sent = 0;
  const sending = (async () => {
    for (let at = 0; at < zip.byteLength; at += CHUNK_BYTES) {
      await script.bytes(zip.slice(at, at + CHUNK_BYTES));
      sent++;
    }
    script.end();
  })();
  await settled();
  assert.ok(sent < WINDOW_CHUNKS_MAX + 1, `${sent} chunks sent while one client had none`);
  const slowly = readAll(slow);
  await sending;
  assertSame(await reading, zip, 'fast');
  assertSame(await slowly, zip, 'slow');
  await settled();
  assert.deepEqual(await rig.store.getEntry({ key: ZIP }), {});
  assert.ok(rig.events.seen.includes(`notStored ${ZIP}`));
});

test('with no room, a client that joins after the beginning was dropped gets Busy', async (t) => {
  const { rig, script } = scripted(t);
  rig.store.full = 'disk is full';
  const opening = open(rig);
  await script.send(start({ size: 20 * CHUNK_BYTES, etag: '"e"' }));
  const body = await opening;
  for (let seq = 0; seq < WINDOW_CHUNKS_MAX + 2; seq++) {
    const sent = script.bytes(contentOf(CHUNK_BYTES, seq));
    await body.at(seq * CHUNK_BYTES);
    Promise.resolve(body.at((seq + 1) * CHUNK_BYTES)).catch(() => {});
    await sent;
  }
  await assert.rejects(open(rig), Busy);
  script.fail(new UpstreamDown('enough'));
  await settled();
});

test('with no room and no reader the download ends', async (t) => {
  const { rig, script } = scripted(t);
  rig.store.full = 'disk is full';
  const opening = open(rig);
  await script.send(start({ size: 20 * CHUNK_BYTES, etag: '"e"' }));
  const body = await opening;
  void body.at(0);
  void (async () => {
    for (let seq = 0; seq < 20; seq++) await script.bytes(contentOf(CHUNK_BYTES, seq));
  })();
  await settled();
  body.close?.();
  await settled();
  assert.ok(rig.events.seen.includes(`fetchFailed ${ZIP}`));
});

test('when the disk fills in the middle, the stored chunks stay for a later download', async (t) => {
  const { rig, script } = scripted(t);
  const zip = noise(5 * CHUNK_BYTES + 100);
  const opening = open(rig);
  await script.send(start({ size: zip.byteLength, etag: '"e"' }));
  const reading = readAll(await opening);
  await script.bytes(zip.slice(0, 2 * CHUNK_BYTES));
  await settled();
  rig.store.failures.set('putChunk', new StoreFailed('cannot use store: SQLITE_FULL'));
  rig.store.failures.set('putEntry', new StoreFailed('cannot use store: SQLITE_FULL'));
  for (let at = 2 * CHUNK_BYTES; at < zip.byteLength; at += 100_000)
    await script.bytes(zip.slice(at, at + 100_000));
  script.end();
  assertSame(await reading, zip);
  await settled();
  const { entry, partial } = await rig.store.getEntry({ key: ZIP });
  assert.deepEqual([entry, partial?.chunks], [undefined, 2]);
  assertWhole(rig.store.path);
});

/** When the disk fills: before the download begins, or when so many chunks of it are stored. */
type Fill = 'before' | number;

const unchecked: {
  verify: VerifyMode;
  chunks: number;
  fill: Fill;
  isSized: boolean;
  isPatched?: boolean;
  outcome: 'whole' | 'refused' | 'cut';
  why: string;
}[] = [
  { verify: 'off', chunks: 12, fill: 2, isSized: true, outcome: 'whole', why: 'no checksum is asked for' },
  { verify: 'off', chunks: 12, fill: 'before', isSized: false, outcome: 'whole', why: 'nor here' },
  {
    ...{ verify: 'off', chunks: 12, fill: 2, isSized: true, isPatched: true, outcome: 'cut' },
    why: 'only its CRCs say whether its parts fit',
  },
  {
    verify: 'store',
    chunks: 12,
    fill: 'before',
    isSized: true,
    outcome: 'refused',
    why: 'a length too long to keep',
  },
  {
    verify: 'store',
    chunks: 12,
    fill: 'before',
    isSized: false,
    outcome: 'cut',
    why: 'longer than the window',
  },
  {
    verify: 'store',
    chunks: 12,
    fill: 2,
    isSized: true,
    outcome: 'cut',
    why: 'its beginning is stored, its end not',
  },
  { verify: 'store', chunks: 3, fill: 2, isSized: true, outcome: 'cut', why: 'few chunks to go' },
  {
    verify: 'store',
    chunks: 3,
    fill: 2,
    isSized: false,
    outcome: 'cut',
    why: 'few chunks to go, of no known length',
  },
  {
    verify: 'store',
    chunks: 3,
    fill: 'before',
    isSized: true,
    outcome: 'whole',
    why: 'the window holds all of it',
  },
  {
    verify: 'strict',
    chunks: 12,
    fill: 'before',
    isSized: true,
    outcome: 'refused',
    why: 'a length too long to keep',
  },
  {
    verify: 'strict',
    chunks: 12,
    fill: 2,
    isSized: true,
    outcome: 'refused',
    why: 'nothing goes out before it is checked',
  },
  { verify: 'strict', chunks: 3, fill: 2, isSized: false, outcome: 'refused', why: 'few chunks to go' },
  {
    verify: 'strict',
    chunks: 3,
    fill: 'before',
    isSized: true,
    outcome: 'whole',
    why: 'the window holds all of it',
  },
];

for (const { verify, chunks, fill, isSized, isPatched = false, outcome, why } of unchecked) {
  const when = fill === 'before' ? 'before' : `behind ${fill} chunks`;
  test(`--verify=${verify}, ${chunks} chunks, a disk that is full ${when}: ${outcome}: ${why}`, async (t) => {
    const { rig, script } = scripted(t, { verify });
    const zip = noise(chunks * CHUNK_BYTES + 100);
    if (fill === 'before') rig.store.full = 'disk is full';
    const answer = rig
      .get(ZIP)
      .then(
        ({ body }) =>
          readAll(body).then((bytes) => (Buffer.from(bytes).equals(zip) ? 'whole' : 'wrong'), busyAs('cut')),
        busyAs('refused'),
      );
    void script.send(start({ size: isSized ? zip.byteLength : undefined, etag: '"e"' }));
    void sendAll(script, zip, { pieces: 100_000, isPatched, atChunk: fill, onFill: () => fillUp(rig) });
    assert.equal(await answer, outcome);
    await settled();
    assert.equal(rig.builder.checked.length, outcome === 'whole' && verify !== 'off' ? 1 : 0);
    assert.equal((await rig.store.getEntry({ key: ZIP })).entry, undefined);
    assertWhole(rig.store.path);
  });
}

test('with --verify=strict even a zip that no checksum covers is checked before it goes out', async (t) => {
  const { rig, script } = scripted(t, { verify: 'strict' });
  rig.checksums.covers = (_): _ is never => false;
  rig.store.full = 'disk is full';
  const answer = assert.rejects(rig.get(ZIP), Busy);
  void script.send(start({ size: 12 * CHUNK_BYTES, etag: '"e"' }));
  await answer;
});

test('on a full disk a download does not go on from a partial: it must pass through in one piece', async (t) => {
  const { rig, script } = scripted(t);
  const zip = noise(4 * CHUNK_BYTES + 100);
  const put = { key: ZIP, size: zip.byteLength, etag: '"e"', lastModified: undefined, nowMs: 1 };
  await rig.store.openBlob({ blob: 9, ...put });
  await rig.store.putChunk({ blob: 9, seq: 0, bytes: noise(CHUNK_BYTES, 7) });
  rig.store.full = 'disk is full';
  const opening = open(rig);
  await script.send(start({ size: zip.byteLength, etag: '"e"' }));
  const reading = readAll(await opening);
  assert.equal(rig.upstream.asked[0]?.request.resume, undefined);
  await script.bytes(zip);
  script.end();
  assertSame(await reading, zip);
});

test('a chunk of a dropped file that the disk refuses late is no part of the next file', async (t) => {
  const { rig, script } = scripted(t);
  const [old, fresh] = [noise(3 * CHUNK_BYTES, 1), noise(3 * CHUNK_BYTES, 2)];
  const refused = Promise.withResolvers<void>();
  const putChunk = async () => {
    await refused.promise;
    throw new StoreFailed('cannot use store: SQLITE_FULL');
  };
  Object.assign(rig.store, { putChunk });
  const opening = open(rig);
  await script.send(start({ size: old.byteLength, etag: '"old"' }));
  const body = await opening;
  await script.bytes(old.slice(0, CHUNK_BYTES));
  await script.send(start({ offset: 0, size: fresh.byteLength, etag: '"new"' }));
  rig.store.full = 'disk is full';
  await script.bytes(fresh.slice(0, 2 * CHUNK_BYTES));
  refused.resolve();
  await settled();
  await script.bytes(fresh.slice(2 * CHUNK_BYTES));
  script.end();
  assertSame(await readAll(body), fresh);
});

async function sendAll(
  script: Script,
  bytes: Uint8Array,
  how: { pieces: number; isPatched: boolean; atChunk: Fill; onFill: () => Promise<void> },
): Promise<void> {
  const { pieces, isPatched, atChunk, onFill } = how;
  const fillAt = atChunk === 'before' ? bytes.byteLength : atChunk * CHUNK_BYTES;
  for (let at = 0; at < bytes.byteLength; ) {
    const end = Math.min(at < fillAt ? Math.min(at + pieces, fillAt) : at + pieces, bytes.byteLength);
    const part = bytes.slice(at, end);
    await (isPatched ? script.send({ kind: 'bytes', bytes: part, isPatched }) : script.bytes(part));
    at = end;
    if (at === fillAt) await onFill();
  }
  script.end();
}

/** Nothing can be written any more, and the store has not noticed it yet. */
async function fillUp(rig: Rig): Promise<void> {
  await settled();
  for (const call of ['putChunk', 'putEntry', 'sealBlob'])
    rig.store.failures.set(call, new StoreFailed('cannot use store: SQLITE_FULL'));
}

function busyAs<T>(outcome: T): (error: unknown) => T {
  return (error) => {
    assert.ok(error instanceof Busy, String(error));
    return outcome;
  };
}

for (const size of [CHUNK_BYTES - 1, CHUNK_BYTES + 500, 2 * CHUNK_BYTES]) {
  test(`a slow client gets all ${size} bytes, even if memory has dropped them`, async (t) => {
    const { rig, script } = scripted(t);
    const zip = noise(size);
    const answer = rig.get(ZIP);
    await script.send(start({ size, etag: '"e"' }));
    await script.bytes(zip.slice());
    script.end();
    const { body } = await answer;
    await settled();
    rig.forgetUnused();
    assertSame(await readAll(body), zip);
    rig.forgetUnused();
    assertSame(await readAll((await rig.get(ZIP)).body), zip, 'a later client');
  });
}
