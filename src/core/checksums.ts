/**
 * What the module proxy asks of the checksum database before it keeps something, as a port:
 * `sumdb/` answers it, and `commands/serve.ts` joins the two.
 */

import type { Resource } from './resource.ts';
import type { Trust } from './store-port.ts';

/** A module version's zip or go.mod: what go.sum has a line for. */
export type Summed = Extract<Resource, { readonly version: unknown }>;

export type Checksums = {
  /** Whether the database is asked about this at all: not for what is private, nor for `.info`. */
  covers(resource: Resource): resource is Summed;
  /** Starts asking, so that the answer is there when the bytes are. */
  prefetch(resource: Summed): void;
  /**
   * Holds a file's own h1 against the database.
   *
   * @returns 'confirmed', or 'unconfirmed' where the database can't be asked in time or does not know it
   * @throws {CheckFailed} it has another h1; the message names both
   */
  judge(resource: Summed, h1: string): Promise<Trust>;
};

/** `--verify`: see INTERFACE, and `modules/checked-ingest.ts` for what each does. */
export type VerifyMode = 'off' | 'store' | 'strict';
