// Goal: the bound on a heap's growth can be taken away without a trace, so that compiled code fits the next start.
// Method: V8's tag for compiled code, which depends on all flags.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cachedDataVersionTag } from 'node:v8';
import { boundHeapGrowth, endHeapBound } from '../../src/serve/heap-growth.ts';

test("V8's flags are as before when the bound has ended", () => {
  const before = cachedDataVersionTag();
  boundHeapGrowth();
  assert.notEqual(cachedDataVersionTag(), before);
  endHeapBound();
  assert.equal(cachedDataVersionTag(), before);
});
