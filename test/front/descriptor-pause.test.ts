// Goal: without file descriptors nothing is accepted until there are some again, and each pause is told once.
// Method: a clock that the test moves, and descriptors that it takes away; `e2e/descriptors.test.ts` has the real thing.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DescriptorPause } from '../../src/front/descriptor-pause.ts';
import { DESCRIPTOR_PAUSE_MS } from '../../src/front/limits.ts';

test('a full table of the machine pauses, until it has room and the port can be had', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  let missing: string | undefined;
  let isPortFree = false;
  const seen: string[] = [];
  const pause = new DescriptorPause({
    missing: () => missing,
    pause: () => void seen.push('pause'),
    resume: async () => {
      seen.push('resume');
      return isPortFree;
    },
    onPause: (why) => void seen.push(why),
  });
  t.after(() => pause.stop());
  const wait = async () => {
    t.mock.timers.tick(DESCRIPTOR_PAUSE_MS);
    await new Promise((resolve) => setImmediate(resolve));
  };
  pause.look();
  assert.deepEqual(seen, [], 'there are some');
  missing = 'ENFILE';
  pause.look();
  pause.look();
  await wait();
  assert.deepEqual(seen, ['pause', 'ENFILE'], 'there are none yet');
  missing = undefined;
  await wait();
  isPortFree = true;
  await wait();
  await wait();
  assert.deepEqual(seen, ['pause', 'ENFILE', 'resume', 'resume']);
  missing = 'EMFILE';
  pause.look();
  assert.deepEqual(seen.slice(4), ['pause', 'EMFILE'], 'another time');
});
