/**
 * `astera pull`: fetches from the bucket what this store lacks: of the modules that files name, as `astera warm` reads them,
 * or with `--all` of all modules. Each file is checked as any other that the server fetches.
 */

import { KEYS_PER_CALL_MAX } from '../core/limits.ts';
import type { ObjectPage, ObjectStore } from '../core/object-store.ts';
import { isImmutable, parseResource } from '../core/resource.ts';
import { UsageError } from '../core/usage-error.ts';
import { openBucket } from '../serve/bucket-tier.ts';
import type { Config, StoreConfig } from '../settings/config.ts';
import { moduleObject } from '../tier/layout.ts';
import { commandEvents } from './command-events.ts';
import { fetchWanted, keysOfFile } from './warm.ts';

/**
 * @param files to read the modules' names from; none: all
 * @throws {UsageError} no bucket, or neither files nor `--all`
 * @throws {Error} as `warmCommand`
 */
export async function pullCommand(
  config: StoreConfig,
  { files, isAll }: { readonly files: readonly string[]; readonly isAll: boolean },
  loadConfig: () => Promise<Config>,
): Promise<void> {
  if (isAll === files.length > 0) throw new UsageError('name files such as go.sum, or --all');
  const full = await loadConfig();
  if (full.bucket === undefined) throw new UsageError('cannot pull: no bucket: set --bucket');
  const bucket = openBucket(full.bucket, commandEvents(full));
  try {
    await bucket.ready();
    const named = [...new Set((await Promise.all(files.map(keysOfFile))).flat())];
    const wanted = isAll ? keysIn(bucket, moduleObject('')) : thoseIn(bucket, named);
    await fetchWanted(config, wanted, async () => full);
  } finally {
    bucket.close();
  }
}

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
