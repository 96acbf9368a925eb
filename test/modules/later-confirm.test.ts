// Goal: unconfirmed and unchecked files are checked in the background. They are confirmed, or dropped without a trace.
// Files that no database knows, and damaged ones, do not block the others.
// Method: starts over a real store without threads. The test sets the database's verdicts, and counts the rests
// instead of sleeping.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Summed, Verdict } from '../../src/core/checksums.ts';
import { CheckFailed, StoreFailed } from '../../src/core/errors.ts';
import { INLINE_BYTES_MAX, SUMDB_UNKNOWN_MS_MAX } from '../../src/core/limits.ts';
import { parseResource, type Resource } from '../../src/core/resource.ts';
import type { Trust } from '../../src/core/store-port.ts';
import { LaterConfirm } from '../../src/modules/later-confirm.ts';
import { StoredCheck } from '../../src/modules/stored-check.ts';
import { readStats } from '../../src/store/stats.ts';
import { dumpStore } from '../support/dump-store.ts';
import { FakeBuilder, FakeChecksums, makeRig, openLocalStore } from '../support/fakes.ts';
import { tempDir } from '../support/temp-dir.ts';

/** A database with a verdict for each key. */
class Judges extends FakeChecksums {
  readonly byModule = new Map<string, Verdict | Error>();
  isPrivate = false;
  override covers(resource: Resource): resource is Summed {
    return !this.isPrivate && super.covers(resource);
  }
  override async judge(...[resource, h1]: Parameters<FakeChecksums['judge']>): Promise<Verdict> {
    this.judged.push(h1);
    const says = this.byModule.get(resource.module) ?? this.says;
    if (says instanceof Error) throw says;
    return says;
  }
}

function resourceOf(name: string): Resource {
  const resource = parseResource(keyOf(name));
  assert.ok(resource !== undefined);
  return resource;
}

const MINUTE_MS = 60_000;
const DAY_MINUTES = 24 * 60;

const keyOf = (name: string) => `example.com/${name}/@v/v1.0.0.zip`;

type Kept = { readonly trust?: Trust; readonly isHashed?: boolean };

async function makeWorld(t: TestContext, names: readonly string[], kept: Kept = {}) {
  const { trust = 'unconfirmed', isHashed = trust !== 'unchecked' } = kept;
  const store = openLocalStore(join(tempDir(t), 'a.db'));
  t.after(() => store.close());
  const builder = new FakeBuilder();
  const checksums = new Judges();
  const { memory, events, proxy, outsideWrites } = makeRig(store, { isOffline: true });
  const { drop } = outsideWrites;
  const time = { nowMs: 1_000_000 };
  const clock = { wallMs: () => time.nowMs, monotonicMs: () => time.nowMs };
  for (const name of names) {
    const blob = store.nextBlob();
    const put = { key: keyOf(name), status: 200, source: 'upstream', nowMs: 1, blob } as const;
    // Too large to be stored inline, so that a blob must be dropped too.
    const bytes = new Uint8Array(INLINE_BYTES_MAX + 1).fill(blob);
    const checked = { h1: `h1:${name}`, trust };
    const { sha256 } = await store.putEntry({ ...put, bytes, ...(isHashed && { checked }) });
    builder.stored.set(keyOf(name), { h1: `h1:${name}`, sha256 });
  }
  const seen: string[] = [];
  events.contradictedLater = (key) => void seen.push(`contradicted ${key}`);
  events.unhashable = (key) => void seen.push(`unhashable ${key}`);
  events.confirmedLater = (files) => void seen.push(`confirmed ${files}`);
  events.housekeepingFailed = (why) => void seen.push(`failed ${why}`);
  const checks = { store, builder, checksums, drop, clock, events, unknownMs: MINUTE_MS };
  const rests: number[] = [];
  const rest = async (ms: number) => void rests.push(ms);
  const restarted = () => new LaterConfirm({ store, check: new StoredCheck(checks), clock, events, rest });
  const trustOf = async (name: string) => (await store.getEntry({ key: keyOf(name) })).entry?.trust;
  const counts = async () => {
    const { unchecked, unconfirmed, unknown } = await store.getSizes({});
    assert.deepEqual({ unchecked, unconfirmed, unknown }, unsettledOf(store.path));
    return { unchecked, unconfirmed, unknown };
  };
  const parts = { store, builder, checksums, memory, proxy, outsideWrites, time, seen, rests };
  return { ...parts, later: restarted(), restarted, trustOf, counts };
}

/** The counts of `astera stats`. */
function unsettledOf(path: string) {
  const { unchecked, unconfirmed, unknown } = readStats(path);
  return { unchecked, unconfirmed, unknown };
}

test('nothing changes while the database cannot be asked; when it is back, all files are confirmed', async (t) => {
  const { checksums, later, seen, trustOf, counts } = await makeWorld(t, ['a', 'b']);
  checksums.says = 'unconfirmed';
  await later.start();
  assert.equal(await trustOf('a'), 'unconfirmed');
  assert.deepEqual(await counts(), { unchecked: 0, unconfirmed: 2, unknown: 0 });
  checksums.says = 'confirmed';
  await later.start();
  assert.deepEqual([await trustOf('a'), await trustOf('b')], ['confirmed', 'confirmed']);
  assert.deepEqual(seen, ['confirmed 2']);
  assert.deepEqual(checksums.judged, ['h1:a', 'h1:b', 'h1:a', 'h1:b']);
  assert.deepEqual(await counts(), { unchecked: 0, unconfirmed: 0, unknown: 0 });
  await later.start();
  assert.equal(checksums.judged.length, 4, 'nothing is left to check');
});

test('an unchecked file is hashed once and confirmed', async (t) => {
  const { checksums, builder, later, trustOf, counts } = await makeWorld(t, ['a'], { trust: 'unchecked' });
  assert.deepEqual(await counts(), { unchecked: 1, unconfirmed: 0, unknown: 0 });
  checksums.says = 'unconfirmed';
  await later.start();
  assert.deepEqual(await counts(), { unchecked: 0, unconfirmed: 1, unknown: 0 });
  checksums.says = 'confirmed';
  await later.start();
  assert.equal(await trustOf('a'), 'confirmed');
  assert.deepEqual(builder.hashed, [keyOf('a')], 'its h1 was recorded');
  assert.ok(checksums.judged.every((h1) => h1 === 'h1:a'));
});

for (const trust of ['unconfirmed', 'unchecked'] as const) {
  test(`a contradicted file that was ${trust} is dropped from store and memory, and logged loudly`, async (t) => {
    const { checksums, later, seen, store, memory, trustOf, proxy } = await makeWorld(t, ['a', 'b'], {
      trust,
    });
    await proxy.get({
      resource: resourceOf('b'),
      key: keyOf('b'),
      mayFetch: false,
      isHead: false,
      via: undefined,
    });
    assert.ok(memory.file(keyOf('b')) !== undefined);
    checksums.says = 'confirmed';
    checksums.byModule.set('example.com/b', new CheckFailed('h1 differs'));
    await later.start();
    assert.deepEqual(seen, [`contradicted ${keyOf('b')}`, 'confirmed 1']);
    assert.equal(memory.file(keyOf('b')), undefined);
    assert.equal(await trustOf('b'), undefined);
    const { entries, blobs, chunks } = dumpStore(store.path);
    assert.deepEqual([entries.length, blobs.length, chunks], [1, 1, 1]);
  });
}

test('a file that has no checksum is dropped', async (t) => {
  const { builder, later, seen, trustOf, store } = await makeWorld(t, ['a', 'b'], { trust: 'unchecked' });
  builder.stored.set(keyOf('a'), new CheckFailed('wrong CRC'));
  await later.start();
  assert.deepEqual(seen, [`unhashable ${keyOf('a')}`, 'confirmed 1']);
  assert.equal(await trustOf('a'), undefined);
  assert.equal(dumpStore(store.path).blobs.length, 1);
});

test('a verdict is not recorded for a file that was replaced meanwhile', async (t) => {
  const outcomes = { contradicted: new CheckFailed('h1 differs'), confirmed: 'confirmed' } as const;
  for (const [why, says] of Object.entries(outcomes)) {
    const { checksums, builder, later, store, trustOf } = await makeWorld(t, ['a'], { trust: 'unchecked' });
    const { judge } = checksums;
    checksums.says = says;
    checksums.judge = async (...asked) => {
      const put = { key: keyOf('a'), status: 200, source: 'import', nowMs: 2 } as const;
      const blob = store.nextBlob();
      const { sha256 } = await store.putEntry({ ...put, blob, bytes: new Uint8Array(9) });
      builder.stored.set(keyOf('a'), { h1: 'h1:other', sha256 });
      checksums.judge = async () => 'unconfirmed';
      return judge.apply(checksums, asked);
    };
    await later.start();
    assert.equal(await trustOf('a'), 'unconfirmed', why);
  }
});

test('a private file is neither hashed nor looked up, and no longer counted; a day later it is looked at again', async (t) => {
  for (const trust of ['unconfirmed', 'unchecked'] as const) {
    const { checksums, builder, later, trustOf, time, counts } = await makeWorld(t, ['a'], { trust });
    checksums.isPrivate = true;
    await later.start();
    assert.equal(await trustOf('a'), 'unchecked');
    assert.deepEqual(await counts(), { unchecked: 0, unconfirmed: 0, unknown: 0 });
    checksums.isPrivate = false;
    await later.start();
    assert.deepEqual([checksums.judged, builder.hashed], [[], []]);
    time.nowMs += SUMDB_UNKNOWN_MS_MAX;
    await later.start();
    assert.equal(await trustOf('a'), 'confirmed', 'it was made public since');
  }
});

test('confirmed files, and kinds without checksums, are left alone', async (t) => {
  const { checksums, later, trustOf, store } = await makeWorld(t, ['a'], { trust: 'confirmed' });
  for (const key of ['example.com/a/@v/v1.0.0.info', 'example.com/a/@v/list', 'sumdb/x.example/latest']) {
    const put = { key, status: 200, source: 'import', nowMs: 1, blob: store.nextBlob() } as const;
    await store.putEntry({ ...put, bytes: new Uint8Array(1) });
  }
  const absent = { key: 'example.com/b/@v/v1.0.0.zip', status: 404, source: 'upstream', nowMs: 1 } as const;
  await store.putEntry({ ...absent, blob: store.nextBlob(), bytes: new Uint8Array(1) });
  checksums.says = new CheckFailed('h1 differs');
  await later.start();
  assert.equal(await trustOf('a'), 'confirmed');
  assert.deepEqual(checksums.judged, []);
});

const many = Array.from({ length: 120 }, (_, n) => `m${String(n).padStart(3, '0')}`);

test('one start checks all files, and rests after each key three times as long as its check took', async (t) => {
  const { checksums, later, rests, time, seen } = await makeWorld(t, many, { trust: 'unchecked' });
  const { judge } = checksums;
  const tookMs = [7, 90_000, 0];
  checksums.judge = (...asked) => {
    time.nowMs += tookMs[checksums.judged.length] ?? 1;
    return judge.apply(checksums, asked);
  };
  await later.start();
  assert.deepEqual(rests.slice(0, 4), [21, 1_000, 0, 3]);
  assert.equal(rests.length, 120);
  assert.deepEqual(seen, ['confirmed 50', 'confirmed 50', 'confirmed 20'], 'a line a round');
});

test('starts go through all files, even if the database knows none of many', async (t) => {
  const { checksums, later } = await makeWorld(t, many);
  checksums.says = 'unconfirmed';
  for (let start = 0; start < 3; start++) await later.start();
  assert.deepEqual(
    checksums.judged,
    many.map((name) => `h1:${name}`),
  );
  await later.start();
  assert.equal(checksums.judged[120], 'h1:m000', 'and from the first again');
});

test('after a restart the work goes on from the same place', async (t) => {
  const { builder, later, restarted, counts, rests } = await makeWorld(t, many, { trust: 'unchecked' });
  const push = rests.push.bind(rests);
  rests.push = (...ms) => {
    if (rests.length === 69) later.stop();
    return push(...ms);
  };
  await later.start();
  assert.equal((await counts()).unchecked, 50);
  await later.start();
  assert.equal((await counts()).unchecked, 50, 'it stopped for good');
  await restarted().start();
  assert.equal((await counts()).unchecked, 0);
  assert.deepEqual(builder.hashed, many.map(keyOf), 'each once');
});

test('a file that the database does not know is asked about again after twice the time, up to a day', async (t) => {
  const { checksums, later, counts, time, trustOf } = await makeWorld(t, ['private', 'z']);
  checksums.byModule.set('example.com/private', 'unknown');
  checksums.says = 'unconfirmed';
  // A start a minute for three days.
  const askedAtMinute: number[] = [];
  for (let minute = 0; minute < 3 * DAY_MINUTES; minute++) {
    checksums.judged.length = 0;
    await later.start();
    assert.equal(checksums.judged.at(-1), 'h1:z', 'what it may know tomorrow is not held up');
    if (checksums.judged.includes('h1:private')) askedAtMinute.push(minute);
    time.nowMs += MINUTE_MS;
  }
  assert.deepEqual(askedAtMinute, [0, 1, 3, 7, 15, 31, 63, 127, 255, 511, 1023, 2047, 3487]);
  assert.equal(await trustOf('private'), 'unconfirmed');
  assert.deepEqual(await counts(), { unchecked: 0, unconfirmed: 2, unknown: 1 });
});

test('a file that the database knows at last is confirmed, even if the clock went back', async (t) => {
  const { checksums, later, counts, time, trustOf } = await makeWorld(t, ['a']);
  checksums.says = 'unknown';
  for (let day = 0; day < 30; day++, time.nowMs += SUMDB_UNKNOWN_MS_MAX) await later.start();
  assert.equal(checksums.judged.length, 30);
  time.nowMs = 0;
  checksums.says = 'confirmed';
  await later.start();
  assert.equal(await trustOf('a'), 'confirmed');
  assert.equal((await counts()).unknown, 0);
});

test('a second start joins the first one', async (t) => {
  const { checksums, later } = await makeWorld(t, ['a', 'b']);
  await Promise.all([later.start(), later.start(), later.start()]);
  assert.equal(checksums.judged.length, 2);
});

test('a damaged file is logged, and does not block the files after it', async (t) => {
  const { builder, later, seen, trustOf } = await makeWorld(t, ['a', 'b'], { trust: 'unchecked' });
  builder.stored.set(keyOf('a'), new StoreFailed('no chunk 1'));
  await later.start();
  assert.equal(await trustOf('b'), 'confirmed');
  assert.equal(await trustOf('a'), 'unchecked');
  const line = `failed cannot check "${keyOf('a')}": no chunk 1`;
  assert.deepEqual(seen, [line, 'confirmed 1', line], 'and the round without progress is the last');
});

test('a failing store ends one start, and the next one works', async (t) => {
  const { store, later, trustOf, seen } = await makeWorld(t, ['a']);
  for (const call of ['getUnsettled', 'setVerdict']) {
    store.failures.set(call, new StoreFailed('disk full'));
    await later.start();
    assert.match(seen.at(-1) ?? '', /^failed .*disk full$/);
    store.failures.clear();
  }
  await later.start();
  assert.equal(await trustOf('a'), 'confirmed');
});

test('after a stop a store that closes is no failure', async (t) => {
  const { store, later, checksums, seen } = await makeWorld(t, ['a', 'b']);
  const { judge } = checksums;
  checksums.judge = (...asked) => {
    later.stop();
    store.failures.set('setVerdict', new StoreFailed('closed'));
    return judge.apply(checksums, asked);
  };
  await later.start();
  assert.deepEqual([checksums.judged, seen], [['h1:a'], []]);
});
