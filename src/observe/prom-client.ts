/**
 * The parts of prom-client that are used here, without its index.
 *
 * The index also loads a push gateway, summaries, cluster support and Node's own metrics. That costs 50 ms at each
 * start and 1.7 MB.
 */

import { createRequire } from 'node:module';
import type * as client from 'prom-client';

const require = createRequire(import.meta.url);

export const Counter: typeof client.Counter = require('prom-client/lib/counter.js');
export type Counter = client.Counter;
export const Gauge: typeof client.Gauge = require('prom-client/lib/gauge.js');
export type Gauge = client.Gauge;
export const Registry: typeof client.Registry = require('prom-client/lib/registry.js');
export type Registry = client.Registry;
