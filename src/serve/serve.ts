/**
 * `astera serve`: has the store's threads come up while all the rest of the server is loaded.
 *
 * They take as long for that as the rest does, on a core of their own. So nothing may be imported
 * here but what starts it.
 */

import type { Config } from '../settings/config.ts';
import type { PluginConfig } from '../settings/plugin-config.ts';
import { startReaders } from '../workers/reader-pool.ts';
import { startWriter } from '../workers/writer-queue.ts';
import { serverStopSignal } from './stop-signal.ts';

/**
 * Serves until it is told to stop.
 *
 * @throws {UsageError} the upstream is this very listener, a malformed checksum database or HTTP proxy
 * @throws {StoreFailed} the store is in use, or can't be opened
 * @throws {Error} an address can't be had
 */
export async function serve(config: Config, plugin: PluginConfig | undefined): Promise<void> {
  const stop = serverStopSignal();
  // Profiles must be there before any thread is. It opens nothing yet: the store is not locked.
  const { dbPath, readers } = config;
  const threads = config.pprof
    ? undefined
    : { writer: startWriter(dbPath), readers: startReaders({ dbPath, threads: readers }) };
  const { openAndServe } = await import('./open.ts');
  await openAndServe(config, { stop, threads, plugin });
}
