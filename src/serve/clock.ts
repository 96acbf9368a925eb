/** The machine's own clock, for every room that is handed one. */

import type { Clock } from '../core/ports.ts';

export const clock: Clock = { wallMs: () => Date.now(), monotonicMs: () => performance.now() };
