/**
 * The checksum databases of a command that has the store to itself and goes nowhere. The checksum files of an import are
 * proven by each other and by the stored ones, or they are not kept.
 */

import { Events } from '../observe/events.ts';
import { createLogger } from '../observe/logger.ts';
import { Metrics } from '../observe/metrics.ts';
import { clock } from '../serve/clock.ts';
import { databasesOf } from '../serve/databases.ts';
import type { StoreConfig } from '../settings/config.ts';
import { notStored, ProvenLog } from '../sumdb/proven-log.ts';
import { SumdbLessons } from '../sumdb/sumdb-lessons.ts';
import { SumdbStore } from '../sumdb/sumdb-store.ts';
import type { ThreadStore } from '../workers/thread-store.ts';

/** @throws {UsageError} a malformed checksum database */
export function ownSumdb(config: StoreConfig, store: ThreadStore): SumdbLessons {
  const log = createLogger({ level: 'error', isTerminal: process.stderr.isTTY });
  const events = new Events(log, new Metrics());
  const logs = databasesOf(config).map(({ name, key }) => {
    const readRemote = (path: string) => Promise.reject(notStored(path));
    const kept = new SumdbStore({ name, store, clock, events });
    return [name, new ProvenLog({ name, key, store: kept, events, readRemote })] as const;
  });
  return new SumdbLessons({ logs: new Map(logs), exemptPatterns: config.noSumdbPatterns });
}
