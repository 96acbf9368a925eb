/**
 * What the verifier needs of the world. After `ClientOps` of golang.org/x/mod/sumdb/client.go.
 */

import type { Tile } from './tile.ts';

/** Handed to a verifier; of one database. Called by many verifications at a time. */
export type SumdbOps = {
  /**
   * Fetches what the database answers below its root: `lookup/…` or `tile/…`, no leading slash.
   *
   * Nothing of it is trusted. Throws a ServeError for any answer but 200, and past the caller's own bound.
   */
  readRemote(path: string): Promise<Uint8Array>;
  /** The stored bytes of a hash tile, or of a wider one at the same place; `undefined` is a miss. */
  readCache(tile: Tile): Promise<Uint8Array | undefined>;
  /**
   * Keeps a hash tile for ever: it is proven. May replace a stored one that was
   * found damaged. The bytes are shared: not to be changed, nor moved to another thread without a copy.
   */
  writeCache(tile: Tile, bytes: Uint8Array): Promise<void>;
  /** The signed note last given to `saveHead`; `undefined` at the very start. */
  loadHead(): Promise<Uint8Array | undefined>;
  /** Keeps a signed note as the newest head. Never called twice at a time, nor with an older head than before. */
  saveHead(note: Uint8Array): Promise<void>;
  /** The database, or someone between, was caught. One line, for a loud log and a metric; the verification fails too. */
  securityEvent(message: string): void;
};
