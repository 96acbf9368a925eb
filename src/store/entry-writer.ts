/** Writes of stored answers: new ones, their times, and their end. */

import { hash } from 'node:crypto';
import { type EntryKind, kindOfKey } from '../core/entry-kind.ts';
import { StoreFailed } from '../core/errors.ts';
import { INLINE_BYTES_MAX, NEGATIVE_ROWS_MAX } from '../core/limits.ts';
import { quote } from '../core/quote.ts';
import type { Checked, Source, Trust, WriterPort } from '../core/store-port.ts';
import type { BlobWriter } from './blob-writer.ts';
import { FileSource } from './file-source.ts';
import type { Connection } from './schema.ts';
import type { UploadQueue } from './upload-queue.ts';

/** Least-used 404s dropped at a time when their bound is met: each drop costs a count of them all. */
const NEGATIVE_ROWS_DROPPED = 2_000;

export class EntryWriter {
  readonly #blobs: BlobWriter;
  readonly #uploads: Pick<UploadQueue, 'addEntry'>;
  readonly #sql;
  /** At most so many 404s are stored: counted when they were last, and one up for each put since. */
  #negativesAtMost = Number.POSITIVE_INFINITY;

  constructor(db: Connection, blobs: BlobWriter, uploads: Pick<UploadQueue, 'addEntry'>) {
    this.#blobs = blobs;
    this.#uploads = uploads;
    this.#sql = prepare(db);
  }

  putEntry: WriterPort['putEntry'] = ({ blob: id, bytes, checked, ...about }) => {
    const { key, status, nowMs } = about;
    if (status !== 200 && this.#sql.sizeOf.get(key)?.status === 200) {
      return { sha256: '', blob: undefined, kept: false };
    }
    if (status !== 200) this.#makeRoomForNegative();
    const sha256 = hash('sha256', bytes, 'buffer');
    const size = bytes.byteLength;
    const isInline = size <= INLINE_BYTES_MAX;
    const blob = isInline ? null : this.#blobs.add(id, bytes, sha256, nowMs);
    const body = isInline ? bytes : null;
    this.#pointKey({ ...about, ...checkedOf(checked), size, sha256, blob, body });
    return { sha256: sha256.toString('hex'), blob: blob ?? undefined, kept: true };
  };

  putFile: WriterPort['putFile'] = ({ path, blob, ...about }) => {
    if (this.#sql.sizeOf.get(about.key)?.status === 200) return {};
    const file = new FileSource(path);
    try {
      const stored = this.#blobs.addFile(blob, file, about);
      this.#pointKey({ ...about, ...stored, ...checkedOf(undefined), status: 200 });
      return {};
    } finally {
      file.close();
    }
  };

  sealBlob: WriterPort['sealBlob'] = ({ checked, ...about }) => {
    const sealed = this.#blobs.seal(about);
    if (sealed === undefined) return this.#sealedBefore(about.key);
    this.#pointKey({ ...about, ...checkedOf(checked), ...sealed, status: 200, body: null });
    return { sha256: sealed.sha256.toString('hex'), blob: sealed.blob };
  };

  revalidateEntry: WriterPort['revalidateEntry'] = ({ key, nowMs }) => {
    this.#sql.revalidate.run(nowMs, nowMs, key);
    return {};
  };

  touch: WriterPort['touch'] = ({ keys, nowMs }) => {
    for (const key of keys) this.#sql.touch.run(nowMs, key);
    return {};
  };

  dropEntry: WriterPort['dropEntry'] = ({ key, sha256 }) => {
    if (this.#sql.blobOfKey.get(key)?.sha256.toString('hex') === sha256) this.#dropKey(key);
    return {};
  };

  forget: WriterPort['forget'] = ({ keys }) => {
    let [answers, negatives, partials, bodyBytes] = [0, 0, 0, 0];
    for (const key of keys) {
      const growing = this.#blobs.growingOf(key);
      if (growing !== undefined) {
        this.#blobs.remove(growing);
        partials++;
      }
      const row = this.#sql.sizeOf.get(key);
      if (row === undefined) continue;
      this.#dropKey(key);
      if (row.status === 200) answers++;
      else negatives++;
      if (row.status === 200) bodyBytes += row.size;
    }
    return { answers, negatives, partials, bodyBytes };
  };

  #dropKey(key: string): void {
    const blob = this.#sql.blobOfKey.get(key)?.blob ?? null;
    this.#sql.drop.run(key);
    if (blob !== null) this.#blobs.dropIfUnused(blob);
  }

  #makeRoomForNegative(): void {
    if (this.#negativesAtMost++ < NEGATIVE_ROWS_MAX) return;
    this.#negativesAtMost = (this.#sql.negatives.get()?.n ?? 0) + 1;
    if (this.#negativesAtMost <= NEGATIVE_ROWS_MAX) return;
    this.#negativesAtMost -= this.#sql.dropNegatives.run(NEGATIVE_ROWS_DROPPED).changes;
  }

  /** Points `key` to its new body, and drops its partial download, and its old blob if nothing else has it. */
  #pointKey(about: Omit<EntryValues, 'kind'>): void {
    const row = { ...about, kind: kindOfKey(about.key) };
    const stored = this.#sql.blobOfKey.get(row.key);
    const before = stored?.blob ?? null;
    if (stored === undefined) this.#sql.add.run(row);
    else this.#sql.replace.run(row);
    const partial = row.status === 200 ? this.#blobs.growingOf(row.key) : undefined;
    if (partial !== undefined) this.#blobs.remove(partial);
    if (before !== null && before !== row.blob) this.#blobs.dropIfUnused(before);
    this.#uploads.addEntry(row);
  }

  #sealedBefore(key: string): ReturnType<WriterPort['sealBlob']> {
    const entry = this.#sql.blobOfKey.get(key);
    if (entry?.blob == null) throw new StoreFailed(`cannot seal blob: none grows for ${quote(key)}`);
    return { sha256: entry.sha256.toString('hex'), blob: entry.blob };
  }
}

type EntryValues = {
  key: string;
  kind: EntryKind;
  status: number;
  size: number;
  sha256: Buffer;
  source: Source;
  nowMs: number;
  blob: number | null;
  body: Uint8Array | null;
  h1: string | null;
  trust: Trust;
};

function checkedOf(checked: Checked | undefined): Pick<EntryValues, 'h1' | 'trust'> {
  return { h1: checked?.h1 ?? null, trust: checked?.trust ?? 'unchecked' };
}

/**
 * For keys that have no row. A statement that may replace one has SQLite keep each page it changes in a
 * journal of its own: of 16 KiB pages that was a third of all that an import wrote.
 */
const ADD = `
  INSERT INTO entry (key, kind, status, size, sha256, source, stored_at_ms, checked_at_ms, used_at_ms, h1, trust, blob, body)
  VALUES (@key, @kind, @status, @size, @sha256, @source, @nowMs, @nowMs, @nowMs, @h1, @trust, @blob, @body)`;

function prepare(db: Connection) {
  return {
    sizeOf: db.prepare<[string], { status: number; size: number }>(
      'SELECT status, size FROM entry WHERE key = ?',
    ),
    blobOfKey: db.prepare<[string], { blob: number | null; sha256: Buffer }>(
      'SELECT blob, sha256 FROM entry WHERE key = ?',
    ),
    add: db.prepare<[EntryValues]>(ADD),
    replace: db.prepare<[EntryValues]>(
      `${ADD} ON CONFLICT (key) DO UPDATE SET
         status = excluded.status, size = excluded.size, source = excluded.source,
         stored_at_ms = iif(sha256 = excluded.sha256, stored_at_ms, excluded.stored_at_ms),
         sha256 = excluded.sha256, checked_at_ms = excluded.checked_at_ms,
         used_at_ms = excluded.used_at_ms, h1 = excluded.h1, trust = excluded.trust,
         unknown_times = 0, ask_after_ms = 0, blob = excluded.blob, body = excluded.body`,
    ),
    revalidate: db.prepare<[number, number, string]>(
      'UPDATE entry SET checked_at_ms = ?, used_at_ms = ? WHERE key = ?',
    ),
    touch: db.prepare<[number, string]>('UPDATE entry SET used_at_ms = ? WHERE key = ?'),
    drop: db.prepare<[string]>('DELETE FROM entry WHERE key = ?'),
    negatives: db.prepare<[], { n: number }>('SELECT count(*) AS n FROM entry WHERE status <> 200'),
    dropNegatives: db.prepare<[number]>(
      `DELETE FROM entry WHERE id IN
         (SELECT id FROM entry WHERE status <> 200 ORDER BY used_at_ms LIMIT ?)`,
    ),
  };
}
