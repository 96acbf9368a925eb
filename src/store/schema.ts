/**
 * The store's tables, its migrations and how a connection is opened.
 *
 *     entry  key ─▶ status, times, source, and the body: inline, or a blob
 *     blob   content ─▶ size, SHA-256 once whole; the key it grows for until then
 *     chunk  blob * 2^20 + seq ─▶ CHUNK bytes (the last one fewer)
 *
 * A key is a path below a GOPROXY's root (`github.com/!azure/x/@v/v1.0.0.mod`).
 * A chunk's rowid is its address, so that reading one is a single B-tree descent.
 * Nothing points to a growing blob but its own row: what is half-done can't be served.
 *
 * Follows https://sqlite.org/pragma.html and https://sqlite.org/wal.html.
 */

import { closeSync, existsSync, openSync, readSync, statSync } from 'node:fs';
import { messageOf, StoreFailed } from '../core/errors.ts';
import { CHUNK_BYTES, CHUNKS_PER_BLOB } from '../core/limits.ts';
import { makePrivate } from './file-mode.ts';
import { type Connection, Database } from './sqlite.ts';

export type { Connection };

/** 'Astr': tells our files from other programs' (PRAGMA application_id). */
const APPLICATION_ID = 0x41737472;

/**
 * 16 KiB pages write and read chunks in a tenth to a quarter less CPU than 4 KiB ones, which read
 * small rows in a tenth less (bench/store-settings.ts). Only takes before the first table.
 */
const PAGE_BYTES = 16_384;

export function chunkId(blob: number, seq: number): number {
  return blob * CHUNKS_PER_BLOB + seq;
}

/** Each step takes the schema from its index to the next version. Never change one that was released. */
const migrations: readonly string[] = [
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
];

/** Zips and go.mod files that the checksum database has not confirmed. Unasked, SQLite takes an index that has all zips. */
export const FROM_UNSETTLED = `FROM entry INDEXED BY entry_unsettled
  WHERE trust <> 'confirmed' AND status = 200
    AND key NOT GLOB 'sumdb/*' AND (key GLOB '*.zip' OR key GLOB '*.mod')`;

/** Their counts, as `Unsettled` of core/store-port.ts. What is private waits from its first look on. */
export const UNSETTLED_COUNTS = `SELECT
    count(*) FILTER (WHERE trust = 'unchecked' AND ask_after_ms = 0) AS unchecked,
    count(*) FILTER (WHERE trust = 'unconfirmed') AS unconfirmed,
    count(*) FILTER (WHERE trust = 'unconfirmed' AND unknown_times > 0) AS unknown
  ${FROM_UNSETTLED}`;

/**
 * `shared`: beside readers, through a WAL. `bulk`: much at a time and few readers, through a rollback
 * journal, so that each page is written once; a commit waits for readers, and readers for a commit.
 */
export type WriterMode = 'shared' | 'bulk';

/**
 * Opens the one writable connection, makes the file if there is none, and brings its schema up to date.
 *
 * @throws {StoreFailed} not a database, another program's, a newer schema, no permission
 */
export function openWritable(path: string, mode: WriterMode = 'shared'): Connection {
  return guarded(path, () => {
    makePrivate(path);
    const db = new Database(path, { timeout: mode === 'bulk' ? BULK_WAIT_MS : 5_000 });
    try {
      if (isEmpty(db)) prepareFile(db);
      checkIdentity(db, path);
      checkVersion(db, path); // Before anything is changed in a file that a newer Astera made.
      if (mode === 'shared' || !leaveWal(db)) {
        // WAL + NORMAL: a crash of the process loses nothing; a power cut may lose the last commits,
        // never the file. FULL would sync an SD card at every commit.
        db.pragma('journal_mode = WAL');
        db.pragma('synchronous = NORMAL');
      }
      db.pragma('foreign_keys = ON');
      db.pragma('wal_autocheckpoint = 0');
      db.pragma(`journal_size_limit = ${WAL_KEPT_BYTES}`);
      db.pragma(`cache_size = -${mode === 'bulk' ? BULK_CACHE_KIB : 4096}`);
      migrate(db);
      checkChunkBytes(db, path);
      return db;
    } catch (error) {
      db.close();
      throw error;
    }
  });
}

/** A reader that looks at all of a large store holds up a bulk writer's commit. */
const BULK_WAIT_MS = 600_000;

/** A transaction's pages stay in memory until it commits: readers wait for the commit alone. */
const BULK_CACHE_KIB = 40 * 1024;

/** @returns whether it is without a WAL now: not where another command just reads the store */
function leaveWal(db: Connection): boolean {
  try {
    db.pragma('busy_timeout = 0');
    return db.pragma('journal_mode = DELETE', { simple: true }) === 'delete';
  } catch {
    return false;
  } finally {
    db.pragma(`busy_timeout = ${BULK_WAIT_MS}`);
  }
}

/** Closes what {@link openWritable} opened; a bulk writer's file is then as all others expect it. */
export function closeWritable(db: Connection): void {
  if (db.pragma('journal_mode', { simple: true }) === 'delete') db.pragma('journal_mode = WAL');
  db.close();
}

/**
 * Opens a read-only connection beside the writer.
 *
 * @throws {StoreFailed} as {@link openWritable}, and for an older schema, which only a writer can change
 */
export function openReadable(path: string): Connection {
  return openForReading(path, checkMigrated);
}

/** Throws what {@link openWritable} would; touches nothing. An older schema is good: the writer migrates it. */
export function checkStore(path: string): void {
  openForReading(path, () => {}).close();
}

function openForReading(path: string, check: (db: Connection, path: string) => void): Connection {
  return guarded(path, () => {
    rollBack(path);
    const db = new Database(path, { readonly: true, fileMustExist: true, timeout: 5_000 });
    try {
      checkIdentity(db, path);
      checkVersion(db, path);
      check(db, path);
      db.pragma('query_only = ON');
      db.pragma('cache_size = -4096');
      db.pragma(`mmap_size = ${MMAP_BYTES}`);
      return db;
    } catch (error) {
      db.close();
      throw error;
    }
  });
}

/** What a killed bulk writer left can only be undone by who may write. */
function rollBack(path: string): void {
  if (!existsSync(`${path}-journal`)) return;
  if (headerNumber(path, HEADER_APPLICATION_ID) !== APPLICATION_ID) return;
  const db = new Database(path, { fileMustExist: true, timeout: 5_000 });
  db.pragma('schema_version'); // A read: SQLite undoes what nobody writes on.
  db.close();
}

/** Whether it is a store of ours whose maker was killed before it had its first tables. */
export function isUnfinished(path: string): boolean {
  rollBack(path);
  const isOurs = headerNumber(path, HEADER_APPLICATION_ID) === APPLICATION_ID;
  // Without a byte in it the lock beside it tells whose it is.
  if (!isOurs) return statSync(path).size === 0 && existsSync(`${path}.lock`);
  return headerNumber(path, HEADER_USER_VERSION) === 0 && !existsSync(`${path}-wal`);
}

/** One number of a database's header; 0 where the file is too short. */
function headerNumber(path: string, offset: number): number {
  const number = Buffer.alloc(4);
  const file = openSync(path, 'r');
  readSync(file, number, 0, 4, offset);
  closeSync(file);
  return number.readUInt32BE();
}

/** https://sqlite.org/fileformat.html#the_database_header */
const HEADER_USER_VERSION = 60;
const HEADER_APPLICATION_ID = 68;

/** After a checkpoint that emptied it the WAL file shrinks to this. */
const WAL_KEPT_BYTES = 16 * 1024 * 1024;

/** Readers map this much of the file: rows are copied once, out of the page cache (bench/store-settings.ts). */
const MMAP_BYTES = 2 ** 33;

/** A setting written when the store was made. */
export function readSetting(db: Connection, name: string): string {
  const row = db.prepare<[string], { value: string }>('SELECT value FROM setting WHERE name = ?').get(name);
  if (row === undefined) throw new StoreFailed(`cannot read store: no setting ${JSON.stringify(name)}`);
  return row.value;
}

function guarded(path: string, open: () => Connection): Connection {
  try {
    return open();
  } catch (error) {
    if (error instanceof StoreFailed) throw error;
    const why = `${messageOf(error)}${wayOut(error)}`;
    throw new StoreFailed(`cannot open store ${JSON.stringify(path)}: ${why}`, { cause: error });
  }
}

/** What a user can do about SQLite's failures, where there is something. */
function wayOut(error: unknown): string {
  const { code } = error as { code?: unknown };
  const name = typeof code === 'string' ? (/^SQLITE_[A-Z]+/.exec(code)?.[0] ?? '') : '';
  return waysOut[name] ?? '';
}

const waysOut: Readonly<Record<string, string>> = {
  SQLITE_NOTADB: '; name another file with --db',
  SQLITE_CORRUPT: '; put a copy in its place, or remove it to fetch all anew',
  SQLITE_READONLY: '; let this user write to the file and its directory',
  SQLITE_CANTOPEN: '; let this user read and write it and its directory',
  SQLITE_PERM: '; let this user read and write it and its directory',
};

function isEmpty(db: Connection): boolean {
  return db.prepare<[], { n: number }>('SELECT count(*) AS n FROM sqlite_schema').get()?.n === 0;
}

function prepareFile(db: Connection): void {
  const foreign = numberPragma(db, 'application_id');
  if (foreign !== 0 && foreign !== APPLICATION_ID) return;
  db.pragma(`page_size = ${PAGE_BYTES}`);
  // One transaction: each writes the first page, and a file killed between them would not be known as ours.
  db.transaction(() => {
    db.pragma('auto_vacuum = INCREMENTAL');
    db.pragma(`application_id = ${APPLICATION_ID}`);
  }).deferred();
}

function checkIdentity(db: Connection, path: string): void {
  if (numberPragma(db, 'application_id') === APPLICATION_ID) return;
  throw new StoreFailed(
    `cannot open store ${JSON.stringify(path)}: it belongs to another program; name another file with --db`,
  );
}

function checkVersion(db: Connection, path: string): void {
  const version = numberPragma(db, 'user_version');
  if (version > migrations.length) {
    throw new StoreFailed(
      `cannot open store ${JSON.stringify(path)}: schema ${version} is newer than this Astera's ${migrations.length}; use the newer Astera`,
    );
  }
}

function checkMigrated(db: Connection, path: string): void {
  const version = numberPragma(db, 'user_version');
  if (version === migrations.length) return;
  throw new StoreFailed(
    `cannot read store ${JSON.stringify(path)}: schema ${version} is older than this Astera's ${migrations.length}; 'astera serve' brings it up to date`,
  );
}

function migrate(db: Connection): void {
  for (let version = numberPragma(db, 'user_version'); version < migrations.length; version++) {
    const step = migrations[version] ?? '';
    db.transaction(() => {
      db.exec(step);
      db.pragma(`user_version = ${version + 1}`);
    }).immediate();
  }
}

function checkChunkBytes(db: Connection, path: string): void {
  const stored = readSetting(db, 'chunk_bytes');
  if (stored === String(CHUNK_BYTES)) return;
  throw new StoreFailed(
    `cannot open store ${JSON.stringify(path)}: its chunks have ${stored} bytes, this Astera's ${CHUNK_BYTES}`,
  );
}

function numberPragma(db: Connection, name: string): number {
  return Number(db.pragma(name, { simple: true }));
}
