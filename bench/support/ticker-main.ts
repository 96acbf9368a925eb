/** A process that wants to run for a moment every millisecond, and notes how late it is let. */

import { createHistogram } from 'node:perf_hooks';
import type { Lateness } from './ticker.ts';

const TICK_MS = 1;

const histogram = createHistogram();
let lastMs = performance.now();

setInterval(() => {
  const nowMs = performance.now();
  histogram.record(Math.max(1, Math.round((nowMs - lastMs - TICK_MS) * 1e6)));
  lastMs = nowMs;
}, TICK_MS);

process.on('disconnect', () => process.exit(0));
process.on('message', () => {
  const at = (share: number) => histogram.percentile(share) / 1e6;
  process.send?.({ p50Ms: at(50), p99Ms: at(99), maxMs: histogram.max / 1e6 } satisfies Lateness);
  histogram.reset();
});
