/** One row of a listing of keys, as entries and partial downloads have it. */

import type { KeyRow } from '../core/store-port.ts';

export type KeyColumns = { key: string; status: number; size: number; blob: number | null };

export function keyRowOf({ key, status, size, blob }: KeyColumns): KeyRow {
  return { key, status, size, blob: blob ?? undefined };
}

/** Bounds of the keys with `prefix` behind `after`; neither is included. Keys are ASCII, and no key is a prefix that is asked for. */
export function rangeOf(prefix: string, after: string): [string, string] {
  return [after > prefix ? after : prefix, `${prefix}\x7f`];
}
