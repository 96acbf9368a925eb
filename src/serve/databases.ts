/** The checksum databases that the flags name. */

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

/** The result of `make`. Its errors become wrong usage; `told` makes the message from the error's. */
export function usable<T>(make: () => T, told = (why: string) => why): T {
  try {
    return make();
  } catch (error) {
    throw new UsageError(told(messageOf(error)), { cause: error });
  }
}
