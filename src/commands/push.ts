/**
 * `astera push`: all that waits for the bucket goes there now, through the running server or, where there is none, by itself.
 * With `--all` all that is stored is queued before.
 */

import { setTimeout as delay } from 'node:timers/promises';
import { UsageError } from '../core/usage-error.ts';
import { Progress } from '../observe/progress.ts';
import { openBucketTier } from '../serve/bucket-tier.ts';
import { clock } from '../serve/clock.ts';
import { pushUploadsBy } from '../serve/push-uploads.ts';
import { stopSignal } from '../serve/stop-signal.ts';
import type { Config, StoreConfig } from '../settings/config.ts';
import { StoreReader } from '../store/reader.ts';
import type { ThreadStore } from '../workers/thread-store.ts';
import { commandEvents } from './command-events.ts';
import { openStoreForWriting } from './writable-store.ts';

/** Between two looks at the queue. */
const LOOK_MS = 200;

/** A queue that gets no shorter for so long has a bucket that takes nothing. */
const STALL_MS = 60_000;

/**
 * @param loadConfig what a server would run with, for when none runs
 * @throws {UsageError} no bucket. @throws {Error} files are left, and where to see why
 */
export async function pushCommand(
  config: StoreConfig,
  { isAll }: { readonly isAll: boolean },
  loadConfig: () => Promise<Config>,
): Promise<void> {
  const signal = stopSignal();
  const opened = await openStoreForWriting(config, { mayBeNew: false });
  const reader = new StoreReader(config.dbPath);
  try {
    const own = opened.own && (await ownPump(await loadConfig(), opened.own));
    const push = opened.server?.pushUploads ?? own?.pushUploads;
    await push?.({ isAll });
    const counts = () => reader.inTransaction(() => reader.getUploadCounts({}));
    const before = counts().waiting;
    const pushed = own?.drain();
    pushed?.catch(() => {}); // Awaited below.
    const elapsedMs = await shownUntilEmpty(() => counts().waiting, signal, pushed);
    await own?.stop();
    const { waiting, lost } = counts();
    const took = `pushed ${before - waiting} files in ${(elapsedMs / 1000).toFixed(1)}s`;
    process.stdout.write(`${took}${signal.aborted ? '; stopped: the rest waits' : ''}\n`);
    if (waiting + lost > 0 && !signal.aborted)
      throw new Error(`${waiting + lost} files are left: see astera stats and the server's log`);
  } finally {
    reader.close();
    await opened.close();
  }
}

/** Resolves when nothing waits, `pushed` is settled, or nothing comes forth any more. @throws what `pushed` does */
async function shownUntilEmpty(
  waiting: () => number,
  signal: AbortSignal,
  pushed: Promise<void> | undefined,
): Promise<number> {
  const progress = new Progress({ verb: 'pushing', stream: process.stderr, now: clock.monotonicMs });
  let left = waiting();
  let [total, movedAtMs, isOver] = [left, clock.monotonicMs(), false];
  progress.setTotal({ files: total, bytes: 0 });
  const end = () => {
    isOver = true;
  };
  pushed?.then(end, end);
  try {
    while (left > 0 && !isOver && !signal.aborted && clock.monotonicMs() - movedAtMs < STALL_MS) {
      await delay(LOOK_MS, undefined, { signal }).catch(() => {});
      const now = waiting();
      // Uploads bring lists about, which wait too.
      if (now > left) total += now - left;
      progress.setTotal({ files: total, bytes: 0 });
      if (now < left) progress.add({ files: left - now, bytes: 0 });
      if (now !== left) movedAtMs = clock.monotonicMs();
      left = now;
    }
    if (isOver) await pushed;
    return progress.elapsedMs;
  } finally {
    progress.end();
  }
}

/** @throws {UsageError} no bucket, or no keys for it */
async function ownPump(config: Config, store: ThreadStore) {
  if (config.bucket === undefined) throw new UsageError('cannot push: no bucket: set --bucket');
  const tier = openBucketTier(config.bucket, config, { store, events: commandEvents(config) });
  await tier.bucket.ready();
  return {
    pushUploads: pushUploadsBy(store, tier),
    drain: async () => {
      await store.keepUploads({ isOn: true });
      await tier.pump.drain();
    },
    stop: async () => {
      tier.close();
      await tier.pump.stop();
    },
  };
}
