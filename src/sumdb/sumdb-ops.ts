/**
 * The operations that the verifier needs: network, store and log. After `ClientOps` of
 * golang.org/x/mod/sumdb/client.go.
 */

import type { Tile } from './tile.ts';

/** The operations for one database. Many verifications may call them at a time. */
export type SumdbOps = {
  /**
   * Fetches a file of the database: `lookup/…` or `tile/…`, without a leading slash.
   *
   * The verifier trusts none of its bytes. Throws a ServeError for any answer but 200, and for more bytes than its own
   * bound.
   */
  readRemote(path: string): Promise<Uint8Array>;
  /** The stored bytes of a hash tile, or of a wider one at the same place; `undefined` is a miss. */
  readCache(tile: Tile): Promise<Uint8Array | undefined>;
  /**
   * Stores a proven hash tile for ever. It may replace a stored one that was damaged. The bytes are shared: they must
   * not be changed, nor moved to another thread without a copy.
   */
  writeCache(tile: Tile, bytes: Uint8Array): Promise<void>;
  /** The note of the last `saveHead`; `undefined` before the first one. */
  loadHead(): Promise<Uint8Array | undefined>;
  /** Stores the note of the newest tree head. Calls never overlap, and the tree never gets smaller. */
  saveHead(note: Uint8Array): Promise<void>;
  /** Reports an attack by the database, or on the way to it: one log line and a metric. The verification fails too. */
  securityEvent(message: string): void;
};
