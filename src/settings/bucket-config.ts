/** The settings of a server's bucket: flags of the cache program, and AWS' own variables. */

import { type BucketAddress, inRegion } from '../bucket/bucket-address.ts';
import { type BucketEnv, bucketEnv } from '../bucket/credentials.ts';
import { readBucketOptions } from '../plugin/options.ts';
import type { Env } from './go-env.ts';
import type { Settings } from './sources.ts';

export type BucketConfig = {
  readonly address: BucketAddress;
  /** Has the keys, or says where they are. */
  readonly env: BucketEnv;
  /** Uploads at one time. */
  readonly uploads: number;
  /** Smaller outputs of builds stay here. */
  readonly outputBytesMin: number;
  /** Whether results of builds are written as objects of their own, beside packs. */
  readonly hasObjects: boolean;
};

/** Undefined without a bucket. @throws {UsageError} bad value, or a flag that does not go with it */
export function readBucketConfig(settings: Settings, env: Env): BucketConfig | undefined {
  const { bucket, uploads, uploadBytesMin, layout } = readBucketOptions((name) => settings.find(name));
  if (bucket === undefined) return undefined;
  const address = inRegion(bucket, env);
  const hasObjects = layout === 'both';
  return { address, env: bucketEnv(env), uploads, outputBytesMin: uploadBytesMin, hasObjects };
}
