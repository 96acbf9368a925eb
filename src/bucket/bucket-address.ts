/** Where a bucket is: its name, and the server's URL, as S3 and what speaks like it have them. */

import { posix } from 'node:path';
import { net } from '../core/node-modules.ts';
import { quote } from '../core/quote.ts';
import { UsageError } from '../core/usage-error.ts';

export type BucketAddress = {
  readonly name: string;
  readonly region: string;
  /** The server; undefined: AWS, in the region. */
  readonly endpoint: URL | undefined;
  /** The name is in the path. Otherwise it is in the host's name, where it can be. */
  readonly isPathStyle: boolean;
  /** Of all keys, without slashes at its ends; may be empty. */
  readonly prefix: string;
};

/** As it is set: the region may be the environment's. */
export type BucketSettings = Omit<BucketAddress, 'region'> & { readonly region: string | undefined };

/** In the region that is set, or that AWS' own programs would take. @throws {UsageError} that one has another form */
export function inRegion(
  settings: BucketSettings,
  env: Readonly<Record<string, string | undefined>>,
): BucketAddress {
  const region = settings.region ?? (env.AWS_REGION || env.AWS_DEFAULT_REGION || 'us-east-1');
  try {
    return { ...settings, region: parseRegion(region) };
  } catch {
    throw new UsageError(`bad value for AWS_REGION: ${quote(region.slice(0, 200))}: expected a region`);
  }
}

/** @throws {Error} another form */
export function parseBucketName(text: string): string {
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{2,62}$/.test(text) || text.includes('..'))
    throw new Error('no name of a bucket');
  return text;
}

/** @throws {Error} another form */
export function parseRegion(text: string): string {
  if (!/^[A-Za-z0-9-]{1,64}$/.test(text)) throw new Error('no region');
  return text;
}

/** @throws {Error} neither http nor https, or more than a host and a path */
export function parseEndpoint(text: string): URL {
  const url = new URL(text);
  const isPlain = url.username === '' && url.password === '' && url.search === '' && url.hash === '';
  if (!/^https?:$/.test(url.protocol) || !isPlain) throw new Error('no endpoint');
  return url;
}

/** As go-cache-plugin joins it with a key, by Go's path.Join. @throws {Error} another form, or out of the bucket */
export function parsePrefix(text: string): string {
  if (!/^[A-Za-z0-9._=@~+:,/-]{0,512}$/.test(text)) throw new Error('no prefix');
  const prefix = posix.join('/', text).slice(1).replace(/\/$/, '');
  if (text.split('/').includes('..')) throw new Error('out of the bucket');
  return prefix;
}

/** The URL below which the bucket's keys are. */
export function bucketUrl({ name, region, endpoint, isPathStyle }: BucketAddress): URL {
  const url = new URL(endpoint ?? `https://s3.${region}.amazonaws.com`);
  // A certificate for *.host has no name with more dots, and an address has no names below it.
  const hasHostOfItsOwn = /^[a-z0-9-]+$/.test(name) && net().isIP(url.hostname.replace(/^\[|\]$/g, '')) === 0;
  if (isPathStyle || !hasHostOfItsOwn) url.pathname = `${url.pathname.replace(/\/$/, '')}/${name}`;
  else url.hostname = `${name}.${url.hostname}`;
  return url;
}

/** A key below the prefix, as the path below {@link bucketUrl}. */
export function keyPath(prefix: string, key: string): string {
  const whole = prefix === '' ? key : `${prefix}/${key}`;
  return `/${whole.split('/').map(encodeURIComponent).join('/')}`;
}
