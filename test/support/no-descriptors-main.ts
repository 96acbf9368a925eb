/**
 * Asks an upstream while its own process has no file descriptor left, and again when it has some. Its arguments are a
 * GOPROXY list and a path. Prints a line for each answer: whether the upstream counts as down, and the bytes or error.
 */

import { closeSync, openSync, readdirSync, readlinkSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
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

/** Whether this process has a file open, other than devices. */
function hasFileOpen(): boolean {
  return openPaths().some((path) => /^\/(?!dev\/|proc\/)/.test(path));
}

/** What the descriptors lead to; nothing where there is no descriptor to look with. */
function openPaths(): string[] {
  try {
    return readdirSync('/proc/self/fd').map(linkOf);
  } catch {
    return [];
  }
}

function linkOf(descriptor: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${descriptor}`);
  } catch {
    return ''; // It is closed meanwhile.
  }
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
  // A file is closed behind its answer, and the CAs are read by another thread: their descriptors would come free later.
  while (hasFileOpen()) await setImmediate();
  taken.push(...takeAll());
  await report();
}
for (const descriptor of taken) closeSync(descriptor);
await report();
await upstream.close();
