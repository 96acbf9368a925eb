/**
 * The store's tables, as the steps that make them.
 *
 *     entry  key ─▶ status, times, source, and the body: inline, or a blob
 *     blob   content ─▶ size, SHA-256 once whole; the key it grows for until then
 *     output, action   the build cache: output ─▶ blob, (namespace, action ID) ─▶ output
 *     session          (namespace, key) ─▶ the actions that such a `go` command asks for
 *     upload           (kind, name) of what is to be written to the bucket
 *     leaving          blobs of evicted zips, until no answer reads them
 *     chunk  blob * 2^20 + seq ─▶ CHUNK bytes (the last one fewer)
 *
 * A key is a path below a GOPROXY's root (`github.com/!azure/x/@v/v1.0.0.mod`).
 * A chunk's rowid is its address, so that reading one is a single B-tree descent.
 * Only its own row points to a growing blob, so a half-done download can't be served.
 */

import { CHUNK_BYTES } from '../core/limits.ts';

/** Each step takes the schema from its index to the next version. Never change one that was released. */
export const migrations: readonly string[] = [
  `
  CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
  INSERT INTO setting VALUES ('chunk_bytes', '${CHUNK_BYTES}'), ('instance', lower(hex(randomblob(8))));

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
  CREATE INDEX entry_tally ON entry (kind, status, source, stored_at_ms, size);
  `,
  `
  -- Of what is unconfirmed: how often the checksum database said that it has no such version, and when to ask again.
  ALTER TABLE entry ADD COLUMN unknown_times INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE entry ADD COLUMN ask_after_ms INTEGER NOT NULL DEFAULT 0;
  `,
  `
  -- Not only what is unconfirmed is to be asked about, but what nobody has looked at yet, too. Has all that is counted.
  DROP INDEX entry_unconfirmed;
  -- Without the column 'kind': SQLite would count in the table itself, as it does with computed columns.
  CREATE INDEX entry_unsettled ON entry (key, trust, ask_after_ms, unknown_times, status)
    WHERE trust <> 'confirmed' AND status = 200
      AND key NOT GLOB 'sumdb/*' AND (key GLOB '*.zip' OR key GLOB '*.mod');
  `,
  `
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
    WHERE trust <> 'confirmed' AND status = 200 AND kind IN ('zip', 'mod');
  `,
  `
  -- A blob may be packed, and grow for an output of a build. A module's zip with the content of a packed one has its own.
  CREATE TABLE new_blob (
    id INTEGER PRIMARY KEY,
    sha256 BLOB CHECK (length(sha256) = 32),
    size INTEGER,
    encoding TEXT NOT NULL DEFAULT 'identity' CHECK (encoding IN ('identity', 'zstd')),
    stored_bytes INTEGER,
    growing_kind TEXT CHECK (growing_kind IN ('entry', 'output')),
    growing_key TEXT,
    etag TEXT,
    last_modified TEXT,
    changed_at_ms INTEGER NOT NULL,
    CHECK ((sha256 IS NULL) = (growing_key IS NOT NULL)),
    CHECK ((growing_kind IS NULL) = (growing_key IS NULL)),
    CHECK ((sha256 IS NULL) = (stored_bytes IS NULL)),
    UNIQUE (sha256, encoding),
    UNIQUE (growing_kind, growing_key)
  ) STRICT;
  INSERT INTO new_blob (id, sha256, size, stored_bytes, growing_kind, growing_key, etag, last_modified, changed_at_ms)
    SELECT id, sha256, size, iif(sha256 IS NULL, NULL, size), iif(growing_key IS NULL, NULL, 'entry'), growing_key,
      etag, last_modified, changed_at_ms FROM blob;
  DROP TABLE blob;
  ALTER TABLE new_blob RENAME TO blob;

  CREATE TABLE output (
    blob INTEGER PRIMARY KEY REFERENCES blob (id),
    -- Actions that have it. Kept by the triggers below.
    actions INTEGER NOT NULL DEFAULT 0,
    stored_at_ms INTEGER NOT NULL,
    used_at_ms INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX output_lone ON output (used_at_ms) WHERE actions = 0;

  CREATE TABLE action (
    id INTEGER PRIMARY KEY,
    namespace TEXT NOT NULL,
    action_id BLOB NOT NULL CHECK (length(action_id) = 32),
    output INTEGER NOT NULL REFERENCES output (blob),
    time TEXT NOT NULL,
    stored_at_ms INTEGER NOT NULL,
    used_at_ms INTEGER NOT NULL,
    note TEXT,
    -- Puts of another output, which were refused: how many, and the last one.
    conflicts INTEGER NOT NULL DEFAULT 0,
    conflict_output BLOB,
    conflict_at_ms INTEGER,
    UNIQUE (namespace, action_id)
  ) STRICT;
  CREATE INDEX action_output ON action (output);
  CREATE INDEX action_used ON action (used_at_ms);
  CREATE INDEX action_conflict ON action (conflict_at_ms, conflicts) WHERE conflicts > 0;
  CREATE TRIGGER action_added AFTER INSERT ON action
    BEGIN UPDATE output SET actions = actions + 1 WHERE blob = new.output; END;
  CREATE TRIGGER action_dropped AFTER DELETE ON action
    BEGIN UPDATE output SET actions = actions - 1 WHERE blob = old.output; END;
  `,
  `
  CREATE TABLE session (
    id INTEGER PRIMARY KEY,
    namespace TEXT NOT NULL,
    key BLOB NOT NULL CHECK (length(key) = 32),
    project BLOB NOT NULL CHECK (length(project) = 32),
    label TEXT NOT NULL,
    times INTEGER NOT NULL,
    used_at_ms INTEGER NOT NULL,
    -- For each action the first 8 bytes of its ID, and in how many sessions in a row nobody asked for it.
    actions BLOB NOT NULL CHECK (length(actions) % 9 = 0),
    UNIQUE (namespace, key)
  ) STRICT;
  CREATE INDEX session_project ON session (namespace, project, used_at_ms);
  CREATE INDEX session_used ON session (used_at_ms);
  `,
  `
  -- What is to be written to the bucket. IDs are never used again: who ends one must not end another one's.
  CREATE TABLE upload (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL CHECK (kind IN ('entry', 'action', 'list')),
    name TEXT NOT NULL,
    queued_at_ms INTEGER NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0,
    after_ms INTEGER NOT NULL DEFAULT 0,
    failure TEXT,
    is_lost INTEGER NOT NULL DEFAULT 0,
    UNIQUE (kind, name)
  ) STRICT;
  -- What must not leave the store before it is in the bucket: an entry by its key, an action by its ID in hex.
  CREATE VIEW waiting_upload AS SELECT kind, name FROM upload
    WHERE is_lost = 0 AND EXISTS (SELECT 1 FROM setting WHERE setting.name = 'uploads' AND value = 'on');
  `,
  `
  -- All that a list of modules and their versions takes: without it every page with a body in it would be read.
  CREATE INDEX entry_version ON entry (key, kind, size) WHERE status = 200 AND kind IN ('info', 'mod', 'zip');
  `,
  `
  -- Has all that eviction and its figures ask of a zip: the least used ones come first.
  CREATE INDEX entry_zip_used ON entry (used_at_ms, key, size, blob, source) WHERE kind = 'zip' AND status = 200;
  -- Blobs of evicted zips, which answers may still read.
  CREATE TABLE leaving (blob INTEGER PRIMARY KEY) STRICT;
  `,
  `
  -- Says which package an archive is of, as far as it was seen when it was stored: a delta takes another version of it.
  ALTER TABLE output ADD COLUMN package_key BLOB CHECK (length(package_key) = 8);
  CREATE INDEX output_package ON output (package_key, blob) WHERE package_key IS NOT NULL;
  `,
  `
  -- Versions that a list got while it was known: they are no older than the last list without them.
  CREATE TABLE sighting (
    module TEXT NOT NULL,
    version TEXT NOT NULL,
    absent_at_ms INTEGER NOT NULL,
    PRIMARY KEY (module, version)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX sighting_absent ON sighting (absent_at_ms);
  `,
  `
  -- Sets of actions are written to the bucket too: by the set's key in hex.
  DROP VIEW waiting_upload;
  ALTER TABLE upload RENAME TO old_upload;
  CREATE TABLE upload (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL CHECK (kind IN ('entry', 'action', 'list', 'set')),
    name TEXT NOT NULL,
    queued_at_ms INTEGER NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0,
    after_ms INTEGER NOT NULL DEFAULT 0,
    failure TEXT,
    is_lost INTEGER NOT NULL DEFAULT 0,
    UNIQUE (kind, name)
  ) STRICT;
  INSERT INTO upload SELECT * FROM old_upload;
  DROP TABLE old_upload;
  -- What must not leave the store before it is in the bucket: an entry by its key, an action by its ID in hex.
  CREATE VIEW waiting_upload AS SELECT kind, name FROM upload
    WHERE is_lost = 0 AND EXISTS (SELECT 1 FROM setting WHERE setting.name = 'uploads' AND value = 'on');
  `,
];
