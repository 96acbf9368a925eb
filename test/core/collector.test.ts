// Goal: the collector is found and collects, and finding it leaves V8's flags as they were.
// Method: V8's tag for compiled code, which depends on all flags, before and after; an object that nobody holds.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { cachedDataVersionTag } from 'node:v8';
import { findCollector } from '../../src/core/collector.ts';

test('the collector frees what nobody holds', async () => {
  const held = (() => new WeakRef({ large: new Uint8Array(1000) }))();
  await setImmediate(); // Until then the turn that made it holds it.
  findCollector()({ type: 'major' });
  assert.equal(held.deref(), undefined);
});

test("a look for the collector leaves V8's flags as they were", () => {
  const before = cachedDataVersionTag();
  findCollector();
  assert.equal(cachedDataVersionTag(), before);
});
