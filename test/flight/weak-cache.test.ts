// Goal: entries are strong for a time and up to a number of bytes, weak after that, and every byte is counted.
// Method: a clock that the test sets; a real garbage collection; a property test that compares the counts with the
// entries that are there.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { WeakCache, type WeakCacheOptions } from '../../src/flight/weak-cache.ts';

type Value = { readonly name: string };

function makeCache(options: Partial<WeakCacheOptions> = {}) {
  const clock = { nowMs: 0 };
  const prolonged: (string | number)[] = [];
  const cache = new WeakCache<Value>({
    strongBytesMax: 100,
    weakBytesMax: 100,
    strongMs: 1_000,
    now: () => clock.nowMs,
    onProlong: (key) => prolonged.push(key),
    ...options,
  });
  return { cache, clock, prolonged };
}

/** Values a test must hold on to, so that no collection interferes. */
function values(...names: string[]): Value[] {
  return names.map((name) => ({ name }));
}

test('an entry is strong until its time is over, and weak after that', () => {
  const { cache, clock } = makeCache();
  const [a = { name: '' }] = values('a');
  cache.set('a', a, 10);
  assert.deepEqual(cache.bytes, { strong: 10, weak: 0 });
  clock.nowMs = 999;
  cache.sweep();
  assert.deepEqual(cache.bytes, { strong: 10, weak: 0 });
  clock.nowMs = 1_000;
  cache.sweep();
  assert.deepEqual(cache.bytes, { strong: 0, weak: 10 });
  assert.equal(cache.size, 1);
  assert.equal(cache.get('a'), a);
  assert.deepEqual(cache.bytes, { strong: 10, weak: 0 }, 'asked for again it is strong again');
});

test('strings and numbers are different keys', () => {
  const { cache } = makeCache();
  const [a, b] = values('a', 'b') as [Value, Value];
  cache.set('7', a, 1);
  cache.set(7, b, 1);
  assert.equal(cache.get('7'), a);
  assert.equal(cache.get(7), b);
  assert.equal(cache.get(8), undefined);
});

test('an entry that was used stays another round, and only one', () => {
  const { cache, clock, prolonged } = makeCache();
  const [a, b] = values('a', 'b') as [Value, Value];
  cache.set('a', a, 10);
  cache.set('b', b, 20);
  cache.get('a');
  clock.nowMs = 1_000;
  cache.sweep();
  assert.deepEqual(cache.bytes, { strong: 10, weak: 20 });
  assert.deepEqual(prolonged, ['a']);
  clock.nowMs = 1_999;
  cache.sweep();
  assert.deepEqual(cache.bytes, { strong: 10, weak: 20 });
  clock.nowMs = 2_000;
  cache.sweep();
  assert.deepEqual(cache.bytes, { strong: 0, weak: 30 });
});

test('past the strong bytes the oldest unused goes weak first', () => {
  const { cache, prolonged } = makeCache({ strongBytesMax: 30 });
  const [a, b, c, d] = values('a', 'b', 'c', 'd') as [Value, Value, Value, Value];
  cache.set('a', a, 10);
  cache.set('b', b, 10);
  cache.set('c', c, 10);
  cache.get('a');
  cache.set('d', d, 10);
  assert.deepEqual(cache.bytes, { strong: 30, weak: 10 });
  assert.deepEqual(prolonged, ['a'], 'it was in use');
  cache.get('b'); // Was weak: now it is strong, and c, the oldest, is not.
  assert.deepEqual(cache.bytes, { strong: 30, weak: 10 });
  assert.equal(cache.size, 4);
});

test('past the weak bytes the one that went weak first is dropped', () => {
  const { cache } = makeCache({ strongBytesMax: 10, weakBytesMax: 20 });
  const held = values('a', 'b', 'c', 'd');
  for (const value of held) cache.set(value.name, value, 10);
  assert.deepEqual(cache.bytes, { strong: 10, weak: 20 });
  assert.equal(cache.get('a'), undefined, 'dropped although somebody holds it');
  assert.equal(cache.get('b'), held[1]);
});

test('an entry larger than both bounds is not kept; one larger than the strong bound is weak', () => {
  const { cache } = makeCache({ strongBytesMax: 10, weakBytesMax: 20 });
  const [a, b] = values('a', 'b') as [Value, Value];
  cache.set('a', a, 21);
  assert.equal(cache.size, 0);
  cache.set('b', b, 15);
  assert.deepEqual(cache.bytes, { strong: 0, weak: 15 });
  assert.equal(cache.get('b'), b);
  assert.deepEqual(cache.bytes, { strong: 0, weak: 15 });
});

test('a new value for a key takes the place and the bytes of the old one, strong or weak', () => {
  const { cache, clock } = makeCache();
  const [a, b, c] = values('a', 'b', 'c') as [Value, Value, Value];
  cache.set('k', a, 10);
  cache.set('k', b, 20);
  assert.deepEqual(cache.bytes, { strong: 20, weak: 0 });
  clock.nowMs = 1_000;
  cache.sweep();
  cache.set('k', c, 5);
  assert.deepEqual(cache.bytes, { strong: 5, weak: 0 });
  assert.equal(cache.get('k'), c);
  assert.equal(cache.size, 1);
});

test('onDrop is called once for each value that leaves, and a strong-only value is never weak', () => {
  const gone: object[] = [];
  const isStrongOnly = (value: object) => (value as Value).name === 'a';
  const { cache, clock } = makeCache({ isStrongOnly, onDrop: (value) => gone.push(value) });
  const [a, b, c, d] = values('a', 'b', 'c', 'd') as [Value, Value, Value, Value];
  cache.set('a', a, 10);
  cache.set('b', b, 10);
  clock.nowMs = 1_000;
  cache.sweep();
  assert.deepEqual(gone, [a]);
  cache.set('b', c, 10);
  cache.set('c', d, 10);
  cache.delete('c');
  cache.delete('c');
  assert.deepEqual(gone, [a, b, d]);
});

test('deleting leaves nothing, strong or weak, and a second time does nothing', () => {
  const { cache, clock } = makeCache();
  const [a, b] = values('a', 'b') as [Value, Value];
  cache.set('a', a, 10);
  clock.nowMs = 1_000;
  cache.sweep();
  cache.set('b', b, 10);
  for (const key of ['a', 'b', 'a', 'none']) cache.delete(key);
  assert.deepEqual(cache.bytes, { strong: 0, weak: 0 });
  assert.equal(cache.size, 0);
});

test('every sweep ends, even if the strong time is 0', () => {
  const { cache } = makeCache({ strongMs: 0 });
  const held = values('a', 'b', 'c');
  for (const value of held) {
    cache.set(value.name, value, 10);
    cache.get(value.name);
  }
  cache.sweep();
  assert.deepEqual(cache.bytes, { strong: 0, weak: 30 });
});

test('a collected value leaves the map and the count; a value that somebody holds stays', async () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const { cache, clock } = makeCache({ strongBytesMax: 10_000, weakBytesMax: 10_000 });
  const [held = { name: '' }] = values('held');
  cache.set('held', held, 1);
  for (let i = 0; i < 100; i++) cache.set(i, { name: `value ${i}` }, 10);
  clock.nowMs = 1_000;
  cache.sweep();
  assert.deepEqual(cache.bytes, { strong: 0, weak: 1_001 });
  // A WeakRef keeps its target until the turn ends. Finalizers run in a later turn.
  for (let turn = 0; turn < 50 && cache.size > 1; turn++) {
    await new Promise((resolve) => setImmediate(resolve));
    collect();
  }
  assert.equal(cache.size, 1);
  assert.deepEqual(cache.bytes, { strong: 0, weak: 1 });
  assert.equal(cache.get('held'), held);
  assert.equal(cache.get(5), undefined);
});

type Step =
  | { kind: 'set'; key: number; bytes: number }
  | { kind: 'get'; key: number }
  | { kind: 'delete'; key: number }
  | { kind: 'pass'; ms: number };

const key = fc.nat(6);
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constant('set' as const), key, bytes: fc.integer({ min: 0, max: 60 }) }),
  fc.record({ kind: fc.constant('get' as const), key }),
  fc.record({ kind: fc.constant('delete' as const), key }),
  fc.record({ kind: fc.constant('pass' as const), ms: fc.constantFrom(1, 500, 1_000) }),
);

test('after any order of calls the counts are the bytes of the entries that are there, within both bounds', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const { cache, clock } = makeCache({ weakBytesMax: 80 });
      const last = new Map<number, { value: Value; bytes: number }>();
      for (const one of steps) {
        if (one.kind === 'set') {
          const value = { name: `${one.key}` };
          last.set(one.key, { value, bytes: one.bytes });
          cache.set(one.key, value, one.bytes);
        } else if (one.kind === 'get') {
          const got = cache.get(one.key);
          assert.ok(got === undefined || got === last.get(one.key)?.value, 'another value');
        } else if (one.kind !== 'pass') {
          cache.delete(one.key);
          last.delete(one.key);
        } else {
          clock.nowMs += one.ms;
          cache.sweep();
        }
        assert.ok(cache.bytes.strong <= 100 && cache.bytes.weak <= 80, 'past a bound');
      }
      // Each delete subtracts exactly the bytes of its entry; after the last one both counts are 0.
      for (const [one, { bytes }] of last) {
        const before = cache.bytes.strong + cache.bytes.weak;
        const sizeBefore = cache.size;
        cache.delete(one);
        const isGone = cache.size === sizeBefore;
        assert.equal(before - cache.bytes.strong - cache.bytes.weak, isGone ? 0 : bytes);
      }
      assert.deepEqual([cache.bytes, cache.size], [{ strong: 0, weak: 0 }, 0]);
    }),
    { numRuns: 500 },
  );
});
