/** The bucket behind a store: joined once, for the server and for commands that fetch or upload. */

import { S3ObjectStore } from '../bucket/s3-object-store.ts';
import { ServerKeys } from '../bucket/server-keys.ts';
import { packedChunk, packedChunks, uploadOutput } from '../buildcache/output-upload.ts';
import { prefixMatcher } from '../core/glob.ts';
import type { ModulePath } from '../core/module-path.ts';
import type { Store } from '../core/store-port.ts';
import type { Events } from '../observe/events.ts';
import type { BucketConfig } from '../settings/bucket-config.ts';
import type { Config } from '../settings/config.ts';
import { BucketActions } from '../tier/bucket-actions.ts';
import { BucketSource } from '../tier/bucket-source.ts';
import { BucketSumdb } from '../tier/bucket-sumdb.ts';
import type { KeepOutputs } from '../tier/output-arrivals.ts';
import { PackArrivals } from '../tier/pack-arrivals.ts';
import { PackIndexes } from '../tier/pack-indexes.ts';
import { packSets } from '../tier/pack-sets.ts';
import { Pump } from '../tier/pump.ts';
import { WrongObjects } from '../tier/wrong-objects.ts';
import { clock } from './clock.ts';

export type BucketTier = ReturnType<typeof openBucketTier>;

type Parts = { readonly store: Store; readonly events: Events };

/** Its keys are looked for by `bucket.ready()`. */
export function openBucketTier(
  { address, env, uploads, outputBytesMin, hasObjects }: BucketConfig,
  config: Pick<Config, 'privatePatterns' | 'noProxyPatterns' | 'bucketPrivate'>,
  { store, events }: Parts,
) {
  const bucket = openBucket({ address, env }, events);
  const wrong = new WrongObjects((key, why) => events.bucketWrong(key, why));
  const hasPrivate = config.bucketPrivate;
  const isPrivate = privateMatcher(config);
  const shared = { bucket, store, wrong, clock, events };
  const keepOutputs: KeepOutputs = {
    keepOutput: (outputId, body) => uploadOutput({ store, clock, outputId, chunks: packedChunks(body) }),
    keepSmallOutput: (outputId, bytes) =>
      uploadOutput({ store, clock, outputId, chunks: packedChunk(bytes) }),
  };
  const indexes = new PackIndexes(shared);
  const arrivals = new PackArrivals({ ...shared, ...keepOutputs, indexes });
  const actions = new BucketActions({
    ...shared,
    ...keepOutputs,
    packs: {
      isApart: (actionId) => indexes.isApart(actionId),
      landing: (actionId) => arrivals.landing(actionId),
    },
  });
  const isIdle = () => bucket.isDown || store.full !== undefined;
  return {
    bucket,
    hasPrivate,
    source: new BucketSource({ bucket, wrong, label: `bucket ${address.name}` }),
    sumdb: (name: string) => new BucketSumdb(bucket, name),
    bringAction: (actionId: string) => actions.fetch(actionId),
    packSets: packSets({ indexes, arrivals, isIdle }),
    pump: new Pump({
      store,
      bucket,
      wrong,
      clock,
      events,
      isAllowed: (module) => hasPrivate || !isPrivate(module),
      answers: () => events.answers,
      outputBytesMin,
      hasObjects,
      indexes,
      lanes: uploads,
    }),
    close: () => bucket.close(),
  };
}

export function openBucket(
  { address, env }: Pick<BucketConfig, 'address' | 'env'>,
  events: Events,
): S3ObjectStore {
  return new S3ObjectStore({
    bucket: address,
    keys: new ServerKeys(env),
    now: clock.monotonicMs,
    events: {
      request: (status) => events.bucketAnswered(status),
      down: (why, forMs) => events.bucketDown(why, forMs),
    },
  });
}

function privateMatcher({
  privatePatterns,
  noProxyPatterns,
}: Pick<Config, 'privatePatterns' | 'noProxyPatterns'>): (module: ModulePath) => boolean {
  const patterns = [privatePatterns, noProxyPatterns].filter((one) => one !== '').join(',');
  return patterns === '' ? () => false : prefixMatcher(patterns);
}
