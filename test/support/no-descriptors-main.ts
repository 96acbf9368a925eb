/**
 * Asks an upstream while its own process has no file descriptor left, and again when it has some. Its arguments are a
 * GOPROXY list and a path. Prints a line for each answer: whether the upstream counts as down, and the bytes or error.
 */

import { closeSync, openSync } from 'node:fs';
import { isServeError } from '../../src/core/errors.ts';
import { createUpstream } from '../../src/upstream/proxy-list.ts';

const [list = '', path = ''] = process.argv.slice(2);
const clock = { wallMs: () => Date.now(), monotonicMs: () => performance.now() };
const upstream = createUpstream({
  list,
  instance: 'i',
  version: '0',
  clock,
  backoff: { baseMs: 1, capMs: 1 },
});

async function report(): Promise<void> {
  const outcome = await upstream.whole({ path, bytesMax: 1_000_000 }).then(
    ({ bytes }) => Buffer.from(bytes).toString(),
    (error: unknown) => (isServeError(error) ? `${error.kind}: ${error.message}` : String(error)),
  );
  process.stdout.write(`${upstream.isDown ? 'down' : 'up'} ${outcome}\n`);
}

function takeAll(): number[] {
  const taken: number[] = [];
  try {
    for (;;) taken.push(openSync('/dev/null', 'r'));
  } catch {
    return taken;
  }
}

// What is loaded at the first use needs descriptors too.
await report();
const taken: number[] = [];
for (let i = 0; i < 3; i += 1) {
  taken.push(...takeAll()); // What was open a moment ago may have been closed since.
  await report();
}
for (const descriptor of taken) closeSync(descriptor);
await report();
await upstream.close();
