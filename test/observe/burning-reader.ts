/** A reader for tests. It burns CPU and holds memory in functions of its own, so that profiles can name them. */

import type { Frame } from '../../src/wire/frame.ts';
import { packReplies, unpackRequests } from '../../src/workers/serve-calls.ts';

const BURN_MS = 400;

const kept: object[] = [];

export function burnInReader(): number {
  let burned = 0;
  for (const endMs = performance.now() + BURN_MS; performance.now() < endMs; ) {
    for (let i = 0; i < 1e5; i++) burned += Math.sqrt(i);
  }
  return burned;
}

export function keepInReader(): void {
  for (let i = 0; i < 2e5; i++) kept.push({ i, text: `kept ${i}` });
}

// biome-ignore lint/style/noDefaultExport: Piscina calls a worker's default export.
export default function serveReads(frame: Frame): unknown {
  keepInReader();
  burnInReader();
  return packReplies(unpackRequests(frame).map(() => ({ ok: true, value: {} })));
}
