/** Values for the gauges of `/metrics`, without a server. */

import type { Gauges } from '../../src/observe/metrics.ts';

export const GAUGES: Gauges = {
  weakCache: () => ({ bytes: { strong: 10, weak: 20 }, size: 3 }),
  loopDelay: () => ({ p50: 0.001, p99: 0.002, max: 0.003 }),
  storeSizes: async () => ({ storeBytes: 1_000, walBytes: 200, unchecked: 7, unconfirmed: 4, unknown: 1 }),
  open: () => ({ requests: 2, connections: 5 }),
  storeBytesMax: () => 5e8,
  uploads: async () => ({ waiting: 3, oldestAtMs: 1_000, lost: 1, skipped: 2 }),
  gitCopies: () => ({ copies: 3, bytes: 9_000, removed: 2, tidied: 1 }),
};
