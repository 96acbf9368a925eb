// Goal: notes of versions leave nothing in memory.
// Method: notes that fail with an object that V8 may collect.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { StoreFailed } from '../../src/core/errors.ts';
import { parseModulePath } from '../../src/core/module-path.ts';
import { Sightings } from '../../src/modules/sightings.ts';
import { FakeClock } from '../support/fakes.ts';

setFlagsFromString('--expose-gc');
const collect: () => void = runInNewContext('gc');

test('what came of a note is let go with it', async () => {
  const clock = new FakeClock();
  const module = parseModulePath('example.com/a');
  const ends: WeakRef<object>[] = [];
  const sightings = new Sightings({
    store: {
      getSightings: async () => ({ sightings: [] }),
      noteSightings: () => Promise.reject(new StoreFailed('no room')),
    },
    clock,
    events: {
      housekeepingFailed: () => {
        const end = {};
        ends.push(new WeakRef(end));
        return end as never;
      },
    },
  });
  const list = (text: string) => new TextEncoder().encode(text);
  for (let note = 0; note < 10; note++) {
    sightings.note({ module, before: list(''), beforeMs: 1, after: list(`v1.0.${note}\n`) });
    await sightings.of(module);
  }
  await new Promise(setImmediate);
  collect();
  assert.equal(ends.length, 10);
  const held = ends.filter((end) => end.deref() !== undefined).length;
  assert.ok(held < 5, `${held} of 10`); // V8 may keep the last ones a little longer.
});
