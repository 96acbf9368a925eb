/**
 * `astera pull`: fetches from the bucket what this store lacks: of the modules that files name, as `astera warm` reads them,
 * or with `--all` of all modules. Each file is checked as any other that the server fetches. With `--build-cache` it brings
 * the sets of the build cache, too.
 */

import { KEYS_PER_CALL_MAX } from '../core/limits.ts';
import type { ObjectPage, ObjectStore } from '../core/object-store.ts';
import { isImmutable, parseResource } from '../core/resource.ts';
import { UsageError } from '../core/usage-error.ts';
import { openBucket } from '../serve/bucket-tier.ts';
import type { Config, StoreConfig } from '../settings/config.ts';
import { moduleObject } from '../tier/layout.ts';
import { commandEvents } from './command-events.ts';
import { pullSets } from './pull-sets.ts';
import { fetchWanted, keysOfFile } from './warm.ts';

/**
 * @param asked `files`: to read the modules' names from; `isAll`: all modules; `hasSets`: the sets of the build cache, too
 * @throws {UsageError} no bucket, nothing to fetch, or files beside `--all`
 * @throws {Error} as `warmCommand`
 */
export async function pullCommand(
  config: StoreConfig,
  { files, isAll, hasSets }: PullAsked,
  loadConfig: () => Promise<Config>,
): Promise<void> {
  const areNamed = files.length > 0;
  if ((isAll && areNamed) || !(isAll || areNamed || hasSets))
    throw new UsageError('name files such as go.sum, or --all, or --build-cache');
  const full = await loadConfig();
  if (full.bucket === undefined) throw new UsageError('cannot pull: no bucket: set --bucket');
  const bucket = openBucket(full.bucket, commandEvents(full));
  try {
    await bucket.ready();
    const named = [...new Set((await Promise.all(files.map(keysOfFile))).flat())];
    const wanted = isAll ? keysIn(bucket, moduleObject('')) : thoseIn(bucket, named);
    if (isAll || areNamed) await fetchWanted(config, wanted, async () => full);
    if (hasSets) await pullSets(config, bucket, full);
  } finally {
    bucket.close();
  }
}

type PullAsked = { readonly files: readonly string[]; readonly isAll: boolean; readonly hasSets: boolean };

/** The keys of files of versions that the bucket has below a prefix, page by page. */
async function* keysIn(bucket: ObjectStore, prefix: string): AsyncGenerator<string[]> {
  for (let next: string | undefined = ''; next !== undefined; ) {
    const page: ObjectPage = await bucket.list({ prefix, next: next || undefined });
    yield page.objects
      .filter(({ size }) => size > 0)
      .map(({ key }) => key.slice(moduleObject('').length))
      .filter(isFile);
    next = page.next;
  }
}

function isFile(key: string): boolean {
  try {
    const resource = parseResource(key);
    return resource !== undefined && isImmutable(resource);
  } catch {
    return false; // Whoever can write to the bucket can lay anything there.
  }
}

/** Those of the keys that the bucket has. One listing a module tells it of all its files. */
async function* thoseIn(bucket: ObjectStore, keys: readonly string[]): AsyncGenerator<string[]> {
  const byModule = Map.groupBy(keys, (key) => key.slice(0, key.indexOf('/@v/') + '/@v/'.length));
  let found: string[] = [];
  for (const [prefix, wanted] of byModule) {
    const there = new Set<string>();
    for await (const page of keysIn(bucket, moduleObject(prefix))) for (const key of page) there.add(key);
    found.push(...wanted.filter((key) => there.has(key)));
    if (found.length < KEYS_PER_CALL_MAX) continue;
    yield found;
    found = [];
  }
  yield found;
}
