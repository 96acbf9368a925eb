/**
 * Writes of build outputs: contents that are named by their own SHA-256.
 *
 * An output has its blob, in whichever encoding the blob is. Keeps count of the bytes that all outputs are stored in.
 */

import type { BuildCacheWriterPort } from '../core/build-cache-port.ts';
import { CheckFailed, isServeError, messageOf, StoreFailed } from '../core/errors.ts';
import type { BlobWriter } from './blob-writer.ts';
import { idBytes } from './cache-id.ts';
import { type Content, ContentLook } from './growing-hashes.ts';
import { lendChunk } from './packing.ts';
import type { Connection } from './schema.ts';

export class OutputWriter {
  readonly #blobs: BlobWriter;
  readonly #sql;
  /** Undefined until somebody asks, and after a transaction that was undone. */
  #storedBytes: number | undefined;

  constructor(db: Connection, blobs: BlobWriter) {
    this.#blobs = blobs;
    this.#sql = prepare(db);
  }

  putOutput: BuildCacheWriterPort['putOutput'] = ({ blob, outputId, size, encoding, bytes, nowMs }) => {
    const stored = this.#use(outputId, nowMs);
    if (stored !== undefined) return { blob: stored, isNew: false };
    const unpacked = lendChunk(bytes, encoding);
    const look = new ContentLook();
    look.add(unpacked);
    const content = look.end();
    refuseOther(content, outputId, size);
    const twin = this.#blobs.find(content.sha256);
    // Nothing is there to be packed in an empty chunk.
    const whole = size === 0 ? new Uint8Array(0) : bytes;
    const { sha256 } = content;
    if (twin === undefined) this.#blobs.addChunk(blob, whole, { sha256, size, encoding, nowMs });
    return this.#own(twin ?? blob, content, nowMs);
  };

  openOutput: BuildCacheWriterPort['openOutput'] = ({ blob, ...growth }) => {
    idBytes(growth.outputId);
    this.#blobs.openForOutput(blob, growth);
    return {};
  };

  sealOutput: BuildCacheWriterPort['sealOutput'] = ({ blob, outputId, size, nowMs }) => {
    const growing = this.#blobs.stateOf(blob);
    const stored = this.#use(outputId, nowMs);
    if (stored !== undefined) {
      if (growing?.sha256 === null) this.#blobs.remove(blob);
      return { blob: stored, isNew: false };
    }
    if (growing?.sha256 !== null) throw new StoreFailed(`cannot seal output: no blob ${blob} grows`);
    try {
      const content = this.#blobs.contentOf(blob);
      refuseOther(content, outputId, size);
      const twin = this.#blobs.find(content.sha256);
      if (twin === undefined) this.#blobs.makeWhole(blob, content, nowMs);
      else this.#blobs.remove(blob);
      return this.#own(twin ?? blob, content, nowMs);
    } catch (cause) {
      if (!isServeError(cause)) throw cause;
      this.#blobs.remove(blob);
      throw new CheckFailed(messageOf(cause), { cause });
    }
  };

  /** The blob of an output. */
  find(outputId: string): number | undefined {
    return this.#sql.find.get(idBytes(outputId))?.blob;
  }

  /** Drops an output that no action has, if `blob` is one; its blob goes where nothing else has it. @returns the bytes it was stored in */
  drop(blob: number): number {
    const bytes = this.#sql.size.get(blob)?.bytes ?? 0;
    if (this.#sql.drop.run(blob).changes === 0) return 0;
    this.#blobs.dropIfUnused(blob);
    if (this.#storedBytes !== undefined) this.#storedBytes -= bytes;
    return bytes;
  }

  /** Whether no action has it, and it was not used since. */
  isLone(blob: number, sinceMs: number): boolean {
    return this.#sql.isLone.get(blob, sinceMs) !== undefined;
  }

  /** Some outputs that no action has, and that were not used since, the least used first. */
  lone(sinceMs: number, limit: number): number[] {
    return this.#sql.lone.all(sinceMs, limit).map(({ blob }) => blob);
  }

  /** The bytes that all outputs are stored in. */
  storedBytes(): number {
    this.#storedBytes ??= this.#sql.total.get()?.bytes ?? 0;
    return this.#storedBytes;
  }

  /** Forgets what it has in memory of a transaction that was undone. */
  forgetUndone(): void {
    this.#storedBytes = undefined;
  }

  /** An output that is stored, now used. */
  #use(outputId: string, nowMs: number): number | undefined {
    const blob = this.find(outputId);
    if (blob !== undefined) this.#sql.use.run(nowMs, blob);
    return blob;
  }

  #own(blob: number, { packageKey }: Content, nowMs: number): { blob: number; isNew: true } {
    this.#sql.put.run(blob, nowMs, nowMs, packageKey ?? null);
    if (this.#storedBytes !== undefined) this.#storedBytes += this.#sql.size.get(blob)?.bytes ?? 0;
    return { blob, isNew: true };
  }
}

function refuseOther({ sha256, size }: Content, outputId: string, promised: number): void {
  if (size !== promised) throw new CheckFailed(`output has ${size} bytes where ${promised} were promised`);
  const found = sha256.toString('hex');
  if (found !== outputId) throw new CheckFailed(`output's SHA-256 is ${found}, not ${outputId}`);
}

type Blob = { blob: number };
type Bytes = { bytes: number };

function prepare(db: Connection) {
  return {
    find: db.prepare<[Buffer], Blob>(
      'SELECT output.blob FROM blob JOIN output ON output.blob = blob.id WHERE sha256 = ?',
    ),
    put: db.prepare<[number, number, number, Buffer | null]>(
      'INSERT INTO output (blob, stored_at_ms, used_at_ms, package_key) VALUES (?, ?, ?, ?)',
    ),
    use: db.prepare<[number, number]>('UPDATE output SET used_at_ms = ? WHERE blob = ?'),
    size: db.prepare<[number], Bytes>('SELECT stored_bytes AS bytes FROM blob WHERE id = ?'),
    drop: db.prepare<[number]>('DELETE FROM output WHERE blob = ?'),
    isLone: db.prepare<[number, number], Blob>(
      'SELECT blob FROM output WHERE blob = ? AND actions = 0 AND used_at_ms < ?',
    ),
    lone: db.prepare<[number, number], Blob>(
      'SELECT blob FROM output WHERE actions = 0 AND used_at_ms < ? ORDER BY used_at_ms LIMIT ?',
    ),
    total: db.prepare<[], Bytes>(
      'SELECT total(stored_bytes) AS bytes FROM output JOIN blob ON blob.id = output.blob',
    ),
  };
}
