/** A server's store: locked, opened by its threads, and closed at the end. `run.ts` builds the server on it. */

import { Events } from '../observe/events.ts';
import { createLogger } from '../observe/logger.ts';
import { Metrics } from '../observe/metrics.ts';
import { Profiles } from '../observe/profiles.ts';
import { readAuthFile } from '../settings/auth-file.ts';
import type { Config } from '../settings/config.ts';
import type { PluginConfig } from '../settings/plugin-config.ts';
import { lockStore } from '../store/lock.ts';
import { lookAtStore } from '../store/look.ts';
import type { PluginThread } from '../workers/plugin-thread.ts';
import type { ReaderThreads } from '../workers/reader-pool.ts';
import { openThreadStore, type ThreadStore } from '../workers/thread-store.ts';
import type { WriterThread } from '../workers/writer-queue.ts';
import { clock } from './clock.ts';
import { databasesOf } from './databases.ts';
import { STOP_GRACE_MS } from './limits.ts';
import { startPlugin } from './plugin.ts';
import { runServer, type Written } from './run.ts';
import { aborted } from './stop-signal.ts';
import { tlsOf } from './tls.ts';

export type Started = {
  readonly stop: AbortSignal;
  /** The store's, where they are on their way already. */
  readonly threads: StoreThreads | undefined;
  /** Served beside the rest. */
  readonly plugin: PluginConfig | undefined;
};

/** @throws what `serve` does */
export async function openAndServe(config: Config, { stop, threads, plugin }: Started): Promise<void> {
  const metrics = new Metrics();
  const log = createLogger({
    level: config.logLevel,
    isTerminal: process.stderr.isTTY,
    onDrop: () => metrics.logLinesDropped.inc(),
  });
  const events = new Events(log, metrics);
  databasesOf(config); // Looked into here too: a mistyped one makes no store.
  tlsOf(config);
  if (config.authFile !== undefined) readAuthFile(config.authFile);
  lookAtStore(config.dbPath, { mayBeNew: true });
  const lock = lockStore(config.dbPath);
  let thread: PluginThread | undefined;
  try {
    // Before the threads, so that it sees all they allocate.
    const profiles = config.pprof ? new Profiles() : undefined;
    thread = plugin && (await startPlugin(plugin, log));
    void aborted(stop).then(() => thread?.stop(STOP_GRACE_MS));
    const written: Written = { call: () => {} };
    const store = await openStore(config, { events, threads, written });
    await store.keepUploads({ isOn: config.bucket !== undefined });
    await runServer({ config, store, stop, log, metrics, events, profiles, written });
  } finally {
    lock.release();
    await thread?.stop(stop.aborted ? STOP_GRACE_MS : 0);
  }
}

type StoreThreads = { readonly writer: WriterThread; readonly readers: ReaderThreads };

type StoreParts = {
  readonly events: Events;
  readonly threads: StoreThreads | undefined;
  readonly written: Written;
};

function openStore(config: Config, { events, threads, written }: StoreParts): Promise<ThreadStore> {
  return openThreadStore({
    dbPath: config.dbPath,
    ...(threads !== undefined && { thread: threads.writer, started: threads.readers }),
    threads: config.readers,
    bytesMax: config.storeBytesMax,
    onReads: (calls) => events.storeRead(calls),
    onWrites: (calls) => {
      events.storeWrote(calls);
      written.call();
    },
    onDeath: (message) => events.workerDied(message),
    onChange: (why) => events.diskFull(why),
    now: clock.monotonicMs,
  });
}
