/**
 * How a connection to the store is opened, for writing or for reading. The tables are in `store/migrations.ts`.
 *
 * Follows https://sqlite.org/pragma.html and https://sqlite.org/wal.html.
 */

import { closeSync, existsSync, openSync, readSync, statSync } from 'node:fs';
import { BadRequest, messageOf, StoreFailed } from '../core/errors.ts';
import { BLOB_ID_MAX, CHUNK_BYTES, CHUNKS_PER_BLOB } from '../core/limits.ts';
import { quote } from '../core/quote.ts';
import { makePrivate } from './file-mode.ts';
import { migrations } from './migrations.ts';
import { type Connection, Database } from './sqlite.ts';

export type { Connection };

/** 'Astr': tells our files from other programs' (PRAGMA application_id). */
const APPLICATION_ID = 0x41737472;

/**
 * 16 KiB pages write and read chunks in a tenth to a quarter less CPU than 4 KiB ones, which read
 * small rows in a tenth less (bench/store-settings.ts). Only takes before the first table.
 */
const PAGE_BYTES = 16_384;

/**
 * The rowid of chunk `seq` of a blob.
 *
 * @throws {BadRequest} a number out of range: the rowid would be that of another blob's chunk
 */
export function chunkId(blob: number, seq: number): number {
  const isBlob = Number.isInteger(blob) && blob >= 0 && blob <= BLOB_ID_MAX;
  if (!isBlob || !Number.isInteger(seq) || seq < 0 || seq >= CHUNKS_PER_BLOB) {
    throw new BadRequest(`there can be no chunk ${seq} of blob ${blob}`);
  }
  return blob * CHUNKS_PER_BLOB + seq;
}

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
      db.pragma('wal_autocheckpoint = 0');
      db.pragma(`journal_size_limit = ${WAL_KEPT_BYTES}`);
      db.pragma(`cache_size = -${mode === 'bulk' ? BULK_CACHE_KIB : 4096}`);
      migrate(db);
      db.pragma('foreign_keys = ON');
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

/**
 * Opens a read-only connection to a store of any schema up to ours.
 *
 * @throws {StoreFailed} as {@link openWritable}
 */
export function openUnchanged(path: string): Connection {
  return openForReading(path, () => {});
}

/**
 * Throws what {@link openWritable} would; touches nothing but what a killed bulk writer left. An older schema is good:
 * the writer migrates it. Only before this process opens the store: see {@link headerNumber}.
 */
export function checkStore(path: string): void {
  guarded(path, () => {
    rollBack(path);
    return openUnchanged(path);
  }).close();
}

function openForReading(path: string, check: (db: Connection, path: string) => void): Connection {
  return guarded(path, () => {
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

/** Undoes the transaction of a killed bulk writer. Only a connection that may write can do that. */
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

/**
 * One number of a database's header; 0 where the file is too short.
 *
 * Closing the file drops all POSIX locks that this process has on it, those of its SQLite connections too: another
 * process could then take a transaction that is under way for one that was left behind, and undo it. So it is read only
 * before this process opens the store.
 */
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
  if (row === undefined) throw new StoreFailed(`cannot read store: no setting ${quote(name)}`);
  return row.value;
}

function guarded(path: string, open: () => Connection): Connection {
  try {
    return open();
  } catch (error) {
    if (error instanceof StoreFailed) throw error;
    const why = `${messageOf(error)}${wayOut(error)}`;
    throw new StoreFailed(`cannot open store ${quote(path)}: ${why}`, { cause: error });
  }
}

/** The user's way out of SQLite's failures, if there is one. */
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
    `cannot open store ${quote(path)}: it belongs to another program; name another file with --db`,
  );
}

function checkVersion(db: Connection, path: string): void {
  const version = numberPragma(db, 'user_version');
  if (version > migrations.length) {
    throw new StoreFailed(
      `cannot open store ${quote(path)}: schema ${version} is newer than this Astera's ${migrations.length}; use the newer Astera`,
    );
  }
}

function checkMigrated(db: Connection, path: string): void {
  const version = numberPragma(db, 'user_version');
  if (version === migrations.length) return;
  throw new StoreFailed(
    `cannot read store ${quote(path)}: schema ${version} is older than this Astera's ${migrations.length}; 'astera serve' brings it up to date`,
  );
}

function migrate(db: Connection): void {
  db.pragma('foreign_keys = OFF'); // A table that is made anew is away for a moment.
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
    `cannot open store ${quote(path)}: its chunks have ${stored} bytes, this Astera's ${CHUNK_BYTES}`,
  );
}

function numberPragma(db: Connection, name: string): number {
  return Number(db.pragma(name, { simple: true }));
}
