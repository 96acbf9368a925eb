// Goal: what was kept without the database's word is settled when it is back: confirmed, or dropped
// without a trace; what no database knows holds up nothing.
// Method: rounds over a real store without threads, with a database that says what the test says.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Summed, Verdict } from '../../src/core/checksums.ts';
import { CheckFailed, StoreFailed } from '../../src/core/errors.ts';
import { INLINE_BYTES_MAX, SUMDB_UNKNOWN_MS_MAX } from '../../src/core/limits.ts';
import { parseResource, type Resource } from '../../src/core/resource.ts';
import type { Trust } from '../../src/core/store-port.ts';
import { LaterConfirm } from '../../src/modules/later-confirm.ts';
import { readStats } from '../../src/store/stats.ts';
import { dumpStore } from '../support/dump-store.ts';
import { FakeChecksums, makeRig, openLocalStore } from '../support/fakes.ts';
import { tempDir } from '../support/temp-dir.ts';

/** Judges each key by its own. */
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

const keyOf = (name: string) => `example.com/${name}/@v/v1.0.0.zip`;

async function makeWorld(t: TestContext, names: readonly string[], trust: Trust = 'unconfirmed') {
  const store = openLocalStore(join(tempDir(t), 'a.db'));
  t.after(() => store.close());
  const { memory, events, proxy } = makeRig(store, { isOffline: true });
  const time = { nowMs: 1_000_000 };
  const clock = { wallMs: () => time.nowMs, monotonicMs: () => time.nowMs };
  const checksums = new Judges();
  for (const name of names) {
    const put = {
      key: keyOf(name),
      status: 200,
      source: 'upstream',
      nowMs: 1,
      blob: store.nextBlob(),
    } as const;
    // Larger than what is stored inline, so that there is a blob to be dropped too.
    const bytes = new Uint8Array(INLINE_BYTES_MAX + 1).fill(put.blob);
    await store.putEntry({ ...put, bytes, checked: { h1: `h1:${name}`, trust } });
  }
  const seen: string[] = [];
  events.contradictedLater = (key) => void seen.push(`contradicted ${key}`);
  events.confirmedLater = (key) => void seen.push(`confirmed ${key}`);
  const later = new LaterConfirm({ store, checksums, memory, clock, events, unknownMs: MINUTE_MS });
  const trustOf = async (name: string) => (await store.getEntry({ key: keyOf(name) })).entry?.trust;
  return { store, memory, checksums, later, seen, trustOf, proxy, time };
}

test('while the database cannot be asked nothing changes; when it is back all is confirmed', async (t) => {
  const { checksums, later, seen, trustOf, store } = await makeWorld(t, ['a', 'b']);
  checksums.says = 'unconfirmed';
  assert.equal(await later.round(), 0);
  assert.equal(await trustOf('a'), 'unconfirmed');
  assert.equal((await store.getSizes({})).unconfirmed, 2);
  checksums.says = 'confirmed';
  assert.equal(await later.round(), 2);
  assert.deepEqual([await trustOf('a'), await trustOf('b')], ['confirmed', 'confirmed']);
  assert.deepEqual(seen, [`confirmed ${keyOf('a')}`, `confirmed ${keyOf('b')}`]);
  assert.deepEqual(checksums.judged, ['h1:a', 'h1:b', 'h1:a', 'h1:b']);
  assert.equal((await store.getSizes({})).unconfirmed, 0);
  assert.equal(await later.round(), 0, 'nothing is left to settle');
});

test('what the database contradicts is dropped from store and memory, and said loudly', async (t) => {
  const { checksums, later, seen, store, memory, trustOf, proxy } = await makeWorld(t, ['a', 'b']);
  await proxy.get({ resource: resourceOf('b'), mayFetch: false, isHead: false, via: undefined });
  assert.ok(memory.file(keyOf('b')) !== undefined);
  checksums.says = 'confirmed';
  checksums.byModule.set('example.com/b', new CheckFailed('h1 differs'));
  assert.equal(await later.round(), 2);
  assert.deepEqual(seen, [`confirmed ${keyOf('a')}`, `contradicted ${keyOf('b')}`]);
  assert.equal(memory.file(keyOf('b')), undefined);
  assert.equal(await trustOf('b'), undefined);
  const { entries, blobs, chunks } = dumpStore(store.path);
  assert.deepEqual([entries.length, blobs.length, chunks], [1, 1, 1]);
});

test('what was made private since is looked up no more', async (t) => {
  const { checksums, later, trustOf } = await makeWorld(t, ['a']);
  checksums.isPrivate = true;
  assert.equal(await later.round(), 1);
  assert.equal(await trustOf('a'), 'unchecked');
  assert.deepEqual(checksums.judged, []);
});

test('what is confirmed or never checked is left alone', async (t) => {
  for (const trust of ['confirmed', 'unchecked'] as const) {
    const { checksums, later, trustOf } = await makeWorld(t, ['a'], trust);
    checksums.says = new CheckFailed('h1 differs');
    assert.equal(await later.round(), 0);
    assert.equal(await trustOf('a'), trust);
  }
});

test('rounds go through all there is, however many no database knows', async (t) => {
  const names = Array.from({ length: 120 }, (_, n) => `m${String(n).padStart(3, '0')}`);
  const { checksums, later } = await makeWorld(t, names);
  checksums.says = 'unconfirmed';
  for (let round = 0; round < 3; round++) await later.round();
  assert.deepEqual(
    checksums.judged,
    names.map((name) => `h1:${name}`),
  );
  await later.round();
  assert.equal(checksums.judged[120], 'h1:m000', 'and from the first again');
});

test('what the database does not know is asked about again after twice the time, up to a day', async (t) => {
  const { checksums, later, store, time, trustOf } = await makeWorld(t, ['private', 'z']);
  checksums.byModule.set('example.com/private', 'unknown');
  checksums.says = 'unconfirmed';
  // A round a minute for three days.
  const askedAtMinute: number[] = [];
  for (let minute = 0; minute < 3 * 24 * 60; minute++) {
    checksums.judged.length = 0;
    await later.round();
    assert.equal(checksums.judged.at(-1), 'h1:z', 'what it may know tomorrow is not held up');
    if (checksums.judged.includes('h1:private')) askedAtMinute.push(minute);
    time.nowMs += MINUTE_MS;
  }
  assert.deepEqual(askedAtMinute, [0, 1, 3, 7, 15, 31, 63, 127, 255, 511, 1023, 2047, 3487]);
  assert.equal(await trustOf('private'), 'unconfirmed');
  const { unconfirmed, unknown } = await store.getSizes({});
  assert.deepEqual({ unconfirmed, unknown }, { unconfirmed: 2, unknown: 1 });
  assert.equal(readStats(store.path).unknown, 1);
});

test('what it knows at last is confirmed, and a clock that went back holds up nothing', async (t) => {
  const { checksums, later, store, time, trustOf } = await makeWorld(t, ['a']);
  checksums.says = 'unknown';
  for (let day = 0; day < 30; day++, time.nowMs += SUMDB_UNKNOWN_MS_MAX) await later.round();
  assert.equal(checksums.judged.length, 30);
  time.nowMs = 0;
  checksums.says = 'confirmed';
  assert.equal(await later.round(), 1);
  assert.equal(await trustOf('a'), 'confirmed');
  assert.equal((await store.getSizes({})).unknown, 0);
});

test('there is one round at a time', async (t) => {
  const { checksums, later } = await makeWorld(t, ['a', 'b']);
  const settled = await Promise.all([later.round(), later.round(), later.round()]);
  assert.deepEqual(settled, [2, 2, 2]);
  assert.equal(checksums.judged.length, 2);
});

test('a failing store ends the round, not the next one', async (t) => {
  const { store, later, trustOf } = await makeWorld(t, ['a']);
  store.failures.set('setTrust', new StoreFailed('disk full'));
  await assert.rejects(later.round(), StoreFailed);
  store.failures.clear();
  assert.equal(await later.round(), 1);
  assert.equal(await trustOf('a'), 'confirmed');
});
