/** The checksum databases that the flags name, and the modules that none may hear of. */

import { messageOf } from '../core/errors.ts';
import { UsageError } from '../core/usage-error.ts';
import type { StoreConfig } from '../settings/config.ts';
import { type Database, parseDatabases } from '../sumdb/database.ts';

/** @throws {UsageError} a malformed checksum database */
export function databasesOf({ sumdb }: StoreConfig): Database[] {
  return usable(
    () => parseDatabases(sumdb),
    (why) => `bad value for --sumdb: ${why}`,
  );
}

/** Patterns of modules that no checksum database may hear of. */
export function exemptPatternsOf({ privatePatterns, noSumdbPatterns }: StoreConfig): string {
  return [privatePatterns, noSumdbPatterns].filter((text) => text !== '').join(',');
}

/** What `make` makes; what it throws is wrong usage, as `told` says it. */
export function usable<T>(make: () => T, told = (why: string) => why): T {
  try {
    return make();
  } catch (error) {
    throw new UsageError(told(messageOf(error)), { cause: error });
  }
}
