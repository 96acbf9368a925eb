/** The bounds that this room alone keeps. `core/limits.ts` has those of several rooms, and says how to read them. */

/** Proven tiles of each checksum database in memory, 8 KiB each. At half, lookups read and hash the upper tiles again; at double, each database takes 8 MiB. */
export const SUMDB_TILES_TRUSTED_MAX = 512;

/** A checksum database's newest tree head is fresh for so long. */
export const SUMDB_LATEST_MS = 5_000;

/** A lookup's answer in memory goes out with the same tree head for so long. */
export const SUMDB_LOOKUP_MS = 60_000;

/** A finished download waits so long for the checksum database, and is then kept as unconfirmed. */
export const SUMDB_WAIT_MS = 10_000;
