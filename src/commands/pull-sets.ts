/** `astera pull --build-cache`: brings all sets of the bucket's packs into the build cache, through the running server or by itself. */

import type { ControlPort } from '../core/control-port.ts';
import { BadRequest, isServeError, messageOf } from '../core/errors.ts';
import type { ObjectPage, ObjectStore } from '../core/object-store.ts';
import { formatSize } from '../core/quantity.ts';
import type { Remote } from '../core/store-port.ts';
import { Progress } from '../observe/progress.ts';
import { PACK_SETS, packSetOf } from '../packs/pack-index.ts';
import { clock } from '../serve/clock.ts';
import { stopSignal } from '../serve/stop-signal.ts';
import type { Config, StoreConfig } from '../settings/config.ts';
import { inLanes } from '../tree/lanes.ts';
import { ownFetcher } from './warm.ts';
import { openStoreForWriting } from './writable-store.ts';

/** Sets at one time. Their chunks share the bounds of the server. */
const LANES = 2;

type BringSet = Remote<ControlPort>['bringSet'];

/** @param full what a server would run with, for when none runs. @throws {Error} some results could not be fetched */
export async function pullSets(config: StoreConfig, bucket: ObjectStore, full: Config): Promise<void> {
  const signal = stopSignal();
  const opened = await openStoreForWriting(config, { mayBeNew: true });
  const fetcher = opened.own && (await ownFetcher(full, opened.own));
  try {
    const bringSet = opened.server?.bringSet ?? fetcher?.bringSet ?? refuse;
    const { sets, brought, lost, bytes, elapsedMs } = await bringAll(setsIn(bucket), { bringSet, signal });
    const results = `${brought} results of ${sets} sets, ${formatSize(bytes)}`;
    const took = `brought ${results} in ${(elapsedMs / 1000).toFixed(1)}s`;
    process.stdout.write(`${took}${signal.aborted ? '; stopped: run it again to go on' : ''}\n`);
    if (lost > 0) throw new Error(`cannot fetch ${lost} results: see astera_bucket_wrong_total and the log`);
  } finally {
    await fetcher?.close();
    await opened.close();
  }
}

const refuse: BringSet = () => Promise.reject(new BadRequest('cannot fetch: no store'));

async function bringAll(
  sets: AsyncIterable<string>,
  { bringSet, signal }: { readonly bringSet: BringSet; readonly signal: AbortSignal },
) {
  const progress = new Progress({ verb: 'bringing', stream: process.stderr, now: clock.monotonicMs });
  const sum = { sets: 0, brought: 0, lost: 0, bytes: 0 };
  try {
    await inLanes(sets, LANES, async (key) => {
      if (signal.aborted) return;
      try {
        const { brought, lost, bytes } = await bringSet({ key });
        sum.sets++;
        sum.brought += brought;
        sum.lost += lost;
        sum.bytes += bytes;
        progress.add({ files: brought, bytes });
      } catch (error) {
        // An index that nobody can read has no results; a bucket or a store that fails has no others either.
        if (!isServeError(error) || error.kind !== 'not-found') throw error;
        progress.say(`failed: ${messageOf(error)}`);
      }
    });
    return { ...sum, elapsedMs: progress.elapsedMs };
  } finally {
    progress.end();
  }
}

async function* setsIn(bucket: ObjectStore): AsyncGenerator<string> {
  for (let next: string | undefined = ''; next !== undefined; ) {
    const page: ObjectPage = await bucket.list({ prefix: PACK_SETS, next: next || undefined });
    for (const { key } of page.objects) {
      const set = packSetOf(key);
      if (set !== undefined) yield set;
    }
    next = page.next;
  }
}
