/** `serve --import-local-cache`: Go's download cache into the store, before the first answer. */

import { messageOf } from '../core/errors.ts';
import type { Logger } from '../observe/logger.ts';
import { type Config, findLocalCache } from '../settings/config.ts';
import { type ImportParts, importFrom, treeRoot } from './import-from.ts';

type Parts = ImportParts & { readonly log: Logger };

/**
 * Does nothing unless it is asked for. A machine where Go has downloaded nothing yet is served all the same.
 *
 * @throws {Error} the directory that --local-cache-dir names can't be read, or the store can't take it
 */
export async function importLocalCache(config: Config, { log, ...parts }: Parts): Promise<void> {
  if (!config.importLocalCache) return;
  const directory = config.localCacheDir ?? (await findLocalCache());
  if (directory === undefined) {
    log.warn('nothing imported: no Go on this machine; name the directory with --local-cache-dir');
    return;
  }
  let root: string;
  try {
    root = await treeRoot(directory);
  } catch (error) {
    if (config.localCacheDir !== undefined) throw error;
    log.warn({ why: messageOf(error) }, 'nothing imported');
    return;
  }
  const { summary } = await importFrom(root, parts);
  log.info({ directory: root }, summary);
}
