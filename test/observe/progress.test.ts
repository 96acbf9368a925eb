// Goal: a person sees the time left, and a log does not fill up.
// Method: a clock and a stream that the test controls.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Progress } from '../../src/observe/progress.ts';

const MIB = 1024 * 1024;

function rig(stream: { isTTY?: boolean; columns?: number }) {
  const written: string[] = [];
  const clock = { ms: 0 };
  const progress = new Progress({
    verb: 'importing',
    stream: { ...stream, write: (text: string) => written.push(text) },
    now: () => clock.ms,
  });
  return { progress, written, clock };
}

test('a terminal gets a bar with amount, rate and time left, drawn in place', () => {
  const { progress, written, clock } = rig({ isTTY: true, columns: 120 });
  progress.setTotal({ files: 100, bytes: 80 * MIB });
  clock.ms = 2_000;
  progress.add({ files: 25, bytes: 20 * MIB });
  assert.deepEqual(written, [
    '\r\x1b[Kimporting [######------------------] 25% 25 files, 20MiB, 10MiB/s, 6s left',
  ]);
  progress.end();
  assert.equal(written.at(-1), '\r\x1b[K');
});

test('the bar is drawn at most every 100 ms, and is never wider than the terminal', () => {
  const { progress, written, clock } = rig({ isTTY: true, columns: 40 });
  for (clock.ms = 1; clock.ms <= 1_000; clock.ms++) progress.add({ files: 1, bytes: MIB });
  assert.ok(written.length >= 9 && written.length <= 10, `${written.length} times`);
  for (const text of written) assert.ok(text.replace('\r\x1b[K', '').length < 40, text);
});

test('a terminal without a size counts as 80 columns wide', () => {
  const { progress, written, clock } = rig({ isTTY: true, columns: 0 });
  clock.ms = 1_000;
  progress.add({ files: 12_345, bytes: MIB });
  assert.equal(written.at(-1), '\r\x1b[Kimporting 12345 files, 1MiB, 1MiB/s');
});

test('without a total there is no bar, and past the total the bar is full', () => {
  const { progress, written, clock } = rig({ isTTY: true });
  clock.ms = 1_000;
  progress.add({ files: 1, bytes: MIB });
  assert.equal(written.at(-1), '\r\x1b[Kimporting 1 files, 1MiB, 1MiB/s');
  progress.setTotal({ files: 1, bytes: MIB });
  clock.ms = 2_000;
  progress.add({ files: 1, bytes: MIB });
  assert.match(written.at(-1) ?? '', /\[#{24}\] 100% .*, 0s left$/);
});

test('another stream gets a line every five seconds, without control characters', () => {
  const { progress, written, clock } = rig({});
  for (clock.ms = 100; clock.ms <= 20_000; clock.ms += 100) progress.add({ files: 1, bytes: MIB });
  progress.end();
  assert.equal(written.length, 4);
  assert.equal(written[0], 'importing: 50 files, 50MiB, 10MiB/s\n');
});

test('the bar is removed before a line', () => {
  const { progress, written, clock } = rig({ isTTY: true });
  clock.ms = 1_000;
  progress.add({ files: 1, bytes: 0 });
  progress.say('left out: x');
  assert.deepEqual(written.slice(1), ['\r\x1b[K', 'left out: x\n']);
});

test('the bar goes by files if the bytes are not known beforehand', () => {
  const { progress, written, clock } = rig({ isTTY: true, columns: 120 });
  progress.setTotal({ files: 4, bytes: 0 });
  clock.ms = 1_000;
  progress.add({ files: 2, bytes: 0 });
  assert.match(written[0] ?? '', /\[#{12}-{12}\] 50% 2 files/);
});
