/**
 * Gives back what zlib's zstd calls leave behind.
 *
 * Each call has a context, which Node frees not when the call is over but when V8 collects a small object. V8 does not see
 * its some 500 KiB: in a quiet heap a thousand of them gathered, and the server held 600 MB.
 */

import { type Collect, findCollector } from './collector.ts';
import { MiB } from './limits.ts';

/**
 * To be called after each zstd call. Now and then it collects the young objects of its thread, which takes some 0.5 ms.
 *
 * @param weight for how many calls it counts: one of 1 MiB leaves a buffer of as much
 */
export function noteZstdCall(weight = 1): void {
  calls += weight;
  if (calls < CALLS_MAX) return;
  calls = 0;
  collect ??= findCollector();
  collect({ type: 'minor' });
}

/**
 * To be called when a zstd stream is over, with what its context held. Streams live long enough to be among V8's old objects, so
 * that now and then all objects of the thread are collected: some 20 ms, after streams that took seconds.
 */
export function noteZstdStream(bytes: number): void {
  droppedBytes += bytes;
  if (droppedBytes < DROPPED_BYTES_MAX) return;
  droppedBytes = 0;
  collect ??= findCollector();
  // In a later turn: the stream's own functions still hold it.
  setImmediate(collect, { type: 'major' });
}

/** At half, four streams have two collections; at double, twice as much memory is held. */
const DROPPED_BYTES_MAX = 8 * MiB;

let droppedBytes = 0;

/** At half, unpacking takes a twentieth longer; at double, each thread holds 16 MiB more. */
const CALLS_MAX = 32;

let calls = 0;
let collect: Collect | undefined;
