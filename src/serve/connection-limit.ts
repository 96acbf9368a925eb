/** How many connections of clients the process has file descriptors for. */

import { readdirSync, readFileSync } from 'node:fs';
import { DESCRIPTORS_KEPT } from './limits.ts';

/** At most {@link DESCRIPTORS_KEPT} are kept for all else, and at most half of those that are free now. Infinity where nothing tells. */
export function connectionsMax(limits = readLimits()): number {
  const [, soft = ''] = /^Max open files +([0-9]+)/m.exec(limits) ?? [];
  if (soft === '') return Infinity;
  const free = Math.max(0, Number(soft) - readdirSync('/proc/self/fd').length);
  return Math.max(1, free - Math.min(DESCRIPTORS_KEPT, Math.floor(free / 2)));
}

/** The kernel's table; empty where there is none. */
function readLimits(): string {
  try {
    return readFileSync('/proc/self/limits', 'utf8');
  } catch {
    return '';
  }
}
