/** The zips and go.mod files that the checksum database has not confirmed, as queries that their index answers. */

/** Zips and go.mod files that the checksum database has not confirmed. Unasked, SQLite takes an index that has all zips. */
export const FROM_UNSETTLED = `FROM entry INDEXED BY entry_unsettled
  WHERE trust <> 'confirmed' AND status = 200 AND kind IN ('zip', 'mod')`;

/** Their counts, as `Unsettled` of `core/store-port.ts`. Private modules are not counted: they wait from the first look on. */
export const UNSETTLED_COUNTS = `SELECT
    count(*) FILTER (WHERE trust = 'unchecked' AND ask_after_ms = 0) AS unchecked,
    count(*) FILTER (WHERE trust = 'unconfirmed') AS unconfirmed,
    count(*) FILTER (WHERE trust = 'unconfirmed' AND unknown_times > 0) AS unknown
  ${FROM_UNSETTLED}`;
