/**
 * The schemas of earlier Asteras, word for word as they were released: a store of theirs must still open.
 *
 * Never change one. The steps of `store/migrations.ts` are not used here, so that a change of a released step shows.
 */

const FIRST = `
  CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
  INSERT INTO setting VALUES ('chunk_bytes', '262144'), ('instance', lower(hex(randomblob(8))));

  CREATE TABLE blob (
    id INTEGER PRIMARY KEY,
    sha256 BLOB UNIQUE CHECK (length(sha256) = 32),
    size INTEGER,
    growing_key TEXT UNIQUE,
    etag TEXT,
    last_modified TEXT,
    changed_at_ms INTEGER NOT NULL,
    CHECK ((sha256 IS NULL) = (growing_key IS NOT NULL))
  ) STRICT;

  CREATE TABLE chunk (id INTEGER PRIMARY KEY, bytes BLOB NOT NULL) STRICT;

  CREATE TABLE entry (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL GENERATED ALWAYS AS (CASE
      WHEN key GLOB 'sumdb/*' THEN 'sumdb'
      WHEN key GLOB '*.zip' THEN 'zip'
      WHEN key GLOB '*.mod' THEN 'mod'
      WHEN key GLOB '*/@v/v[0-9]*.[0-9]*.[0-9]*.info' THEN 'info'
      WHEN key GLOB '*.info' THEN 'query'
      WHEN key GLOB '*/@latest' THEN 'latest'
      ELSE 'list' END) VIRTUAL,
    status INTEGER NOT NULL CHECK (status IN (200, 404, 410)),
    size INTEGER NOT NULL,
    sha256 BLOB NOT NULL CHECK (length(sha256) = 32),
    source TEXT NOT NULL,
    stored_at_ms INTEGER NOT NULL,
    checked_at_ms INTEGER NOT NULL,
    used_at_ms INTEGER NOT NULL,
    h1 TEXT,
    trust TEXT NOT NULL DEFAULT 'unchecked' CHECK (trust IN ('unchecked', 'unconfirmed', 'confirmed')),
    blob INTEGER REFERENCES blob (id),
    body BLOB,
    CHECK ((blob IS NULL) = (body IS NOT NULL))
  ) STRICT;
  CREATE INDEX entry_blob ON entry (blob) WHERE blob IS NOT NULL;
  CREATE INDEX entry_negative ON entry (used_at_ms) WHERE status <> 200;
  CREATE INDEX entry_unconfirmed ON entry (key) WHERE trust = 'unconfirmed';
  -- All that 'astera stats' asks of entries: without it every page with a body in it would be read.
  CREATE INDEX entry_tally ON entry (kind, status, source, stored_at_ms, size);`;

const SECOND = `
  -- Of what is unconfirmed: how often the checksum database said that it has no such version, and when to ask again.
  ALTER TABLE entry ADD COLUMN unknown_times INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE entry ADD COLUMN ask_after_ms INTEGER NOT NULL DEFAULT 0;`;

const THIRD = `
  -- Not only what is unconfirmed is to be asked about, but what nobody has looked at yet, too. Has all that is counted.
  DROP INDEX entry_unconfirmed;
  -- Without the column 'kind': SQLite would count in the table itself, as it does with computed columns.
  CREATE INDEX entry_unsettled ON entry (key, trust, ask_after_ms, unknown_times, status)
    WHERE trust <> 'confirmed' AND status = 200
      AND key NOT GLOB 'sumdb/*' AND (key GLOB '*.zip' OR key GLOB '*.mod');`;

const FOURTH = `
  -- A key's kind is written with it: as a computed column, a key that matched nothing was a list.
  DROP INDEX entry_tally;
  DROP INDEX entry_unsettled;
  ALTER TABLE entry DROP COLUMN kind;
  ALTER TABLE entry ADD COLUMN kind TEXT NOT NULL DEFAULT 'other';
  UPDATE entry SET kind = CASE
    WHEN key GLOB 'sumdb/?*' THEN 'sumdb'
    WHEN key GLOB '*/@v/*.zip' THEN 'zip'
    WHEN key GLOB '*/@v/*.mod' THEN 'mod'
    WHEN key GLOB '*/@v/v[0-9]*.[0-9]*.[0-9]*.info' THEN 'info'
    WHEN key GLOB '*/@v/*.info' THEN 'query'
    WHEN key GLOB '*/@v/list' THEN 'list'
    WHEN key GLOB '*/@latest' THEN 'latest'
    ELSE 'other' END;
  CREATE INDEX entry_tally ON entry (kind, status, source, stored_at_ms, size);
  CREATE INDEX entry_unsettled ON entry (key, trust, ask_after_ms, unknown_times, status, kind)
    WHERE trust <> 'confirmed' AND status = 200 AND kind IN ('zip', 'mod');`;

/** What makes a store of each version, by that version. */
export const oldSchemas: Readonly<Record<number, string>> = {
  1: FIRST,
  2: FIRST + SECOND,
  3: FIRST + SECOND + THIRD,
  4: FIRST + SECOND + THIRD + FOURTH,
};
