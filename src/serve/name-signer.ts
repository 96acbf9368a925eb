/**
 * Records the database and key that confirm a store's files, and the modules that it may not hear of. Confirmations by
 * another one no longer count; modules that are public now are looked up.
 */

import type { Store } from '../core/store-port.ts';
import type { Events } from '../observe/events.ts';
import type { Config } from '../settings/config.ts';
import { databasesOf } from './databases.ts';

/**
 * Tells the store who confirms from now on, before anything goes out of it.
 *
 * @throws {StoreFailed} it was another one, and that could not be recorded
 */
export async function nameSigner(
  config: Config,
  { store, events }: { readonly store: Pick<Store, 'confirmBy' | 'exemptBy'>; readonly events: Events },
): Promise<void> {
  const [database] = databasesOf(config); // It is the first that judges.
  if (database === undefined) return;
  const signer = `${database.name}+${database.key.keyHash}`;
  let files = 0;
  for (let row: number | undefined = 0; row !== undefined; ) {
    const { doubted, nextRow }: Awaited<ReturnType<Store['confirmBy']>> = await store.confirmBy({
      signer,
      row,
    });
    files += doubted;
    row = nextRow;
  }
  if (files > 0) events.confirmedByAnother(files);
  await store.exemptBy({ patterns: config.noSumdbPatterns });
}
