/**
 * `astera serve`: opens the store, and has the rest of the server loaded meanwhile.
 *
 * The writer's thread takes as long to come up as `serving.ts` with the packages it needs takes to load: half of
 * a start. So nothing that only `serving.ts` needs may be imported here.
 */

import type { Config } from '../config.ts';
import { Events } from '../observe/events.ts';
import { createLogger } from '../observe/logger.ts';
import { Metrics } from '../observe/metrics.ts';
import { Profiles } from '../observe/profiles.ts';
import { lockStore } from '../store/lock.ts';
import { lookAtStore } from '../store/look.ts';
import { openThreadStore, type ThreadStore } from '../workers/thread-store.ts';
import { clock } from './clock.ts';
import { databasesOf } from './databases.ts';
import { stopSignal } from './stop-signal.ts';

/**
 * Serves until it is told to stop.
 *
 * @throws {UsageError} the upstream is this very listener, a malformed checksum database or HTTP proxy
 * @throws {StoreFailed} the store is in use, or can't be opened
 */
export async function serve(config: Config): Promise<void> {
  const stop = stopSignal();
  const log = createLogger(config.logLevel, process.stderr.isTTY);
  const metrics = new Metrics();
  const events = new Events(log, metrics);
  databasesOf(config); // Looked into here too: a mistyped one makes no store.
  lookAtStore(config.dbPath, { mayBeNew: true });
  const lock = lockStore(config.dbPath);
  // Before the threads, so that it sees all they allocate.
  const profiles = config.pprof ? new Profiles() : undefined;
  const parts = await Promise.all([openStore(config, events), import('./serving.ts')]).catch(
    (error: unknown) => {
      lock.release();
      throw error;
    },
  );
  const [store, { serveStore }] = parts;
  try {
    await serveStore({ config, store, stop, log, metrics, events, profiles });
  } finally {
    lock.release();
  }
}

function openStore(config: Config, events: Events): Promise<ThreadStore> {
  return openThreadStore({
    dbPath: config.dbPath,
    threads: config.readers,
    onReads: (calls) => events.storeRead(calls),
    onWrites: (calls) => events.storeWrote(calls),
    onDeath: (message) => events.workerDied(message),
    onChange: (why) => events.diskFull(why),
    now: clock.monotonicMs,
  });
}
