/**
 * Checks a store: every blob and body has its hash, every entry its whole body, and every
 * body is what its key says. `astera verify` lists the faults.
 *
 * The store is read beside a running server: an entry that was replaced or dropped meanwhile is no fault.
 */

import { createHash, hash } from 'node:crypto';
import { kindOfKey } from '../core/entry-kind.ts';
import { BadRequest, CheckFailed, isServeError, messageOf } from '../core/errors.ts';
import { CHUNK_BYTES } from '../core/limits.ts';
import { parseResource } from '../core/resource.ts';
import { checkSmall } from '../modules/small-check.ts';
import { type ByteSource, bufferSource, readExactly } from '../modzip/byte-source.ts';
import { hashGoMod } from '../modzip/go-mod-hash.ts';
import { checkZip } from '../modzip/zip-check.ts';
import { hashZip } from '../modzip/zip-hash.ts';
import type { AuditedBlob, AuditedEntry, StoreAudit } from '../store/audit.ts';

/**
 * A fault, and the thing that has it: an answer or a partial download, by key, and whether it is worth
 * fetching again; chunks that nothing needs, by their blob's number; or the whole store file.
 */
export type Fault = {
  readonly of: { readonly key: string; readonly isWanted: boolean } | { readonly unused: number } | 'file';
  readonly why: string;
};

export type StoreCheckOptions = {
  readonly audit: StoreAudit;
  /** A server has the store: no long transaction may stand in its way. */
  readonly isShared: boolean;
  readonly onProgress: (done: { readonly files: number; readonly bytes: number }) => void;
  readonly signal: AbortSignal;
};

export class StoreCheck {
  readonly #options: StoreCheckOptions;
  readonly #audit: StoreAudit;
  /** The fault of each blob that was read, if any. Holds only bad and growing blobs. */
  readonly #badBlobs = new Map<number, string>();
  readonly #growing = new Set<number>();
  #lastBlob = -1;

  constructor(options: StoreCheckOptions) {
    this.#options = options;
    this.#audit = options.audit;
  }

  /** Every fault, as it is found. Ends early when told to stop. */
  async *faults(): AsyncGenerator<Fault> {
    yield* this.#guarded(() => this.#fileFaults());
    yield* this.#guarded(() => this.#blobFaults());
    yield* this.#guarded(() => this.#ownerlessFaults());
    yield* this.#guarded(() => this.#entryFaults());
  }

  /** A file that is damaged may fail any read: then the rest of that part can't be checked. */
  async *#guarded(part: () => Iterable<Fault> | AsyncIterable<Fault>): AsyncGenerator<Fault> {
    try {
      for await (const fault of part()) {
        yield fault;
        if (this.#options.signal.aborted) return;
      }
    } catch (error) {
      if (!isDamage(error)) throw error;
      yield { of: 'file', why: `cannot read on: ${messageOf(error)}` };
    }
  }

  *#fileFaults(): Generator<Fault> {
    for (const why of this.#audit.problems(this.#options)) yield { of: 'file', why };
  }

  *#blobFaults(): Generator<Fault> {
    for (const blob of this.#audit.blobs()) {
      if (this.#options.signal.aborted) return;
      this.#lastBlob = blob.id;
      if (blob.growingKey !== null) {
        yield* this.#growingFaults(blob, blob.growingKey);
        continue;
      }
      this.#checkBlob(blob);
      if (this.#audit.isOwned(blob.id) || !this.#audit.isBlobAsRead(blob)) continue;
      yield { of: { unused: blob.id }, why: 'nothing has this blob as its body' };
    }
  }

  /** The chunks of a partial download must have no gap: a resume continues at their end. */
  *#growingFaults(blob: AuditedBlob, key: string): Generator<Fault> {
    this.#growing.add(blob.id);
    const { count, lastSeq } = this.#audit.chunkSpan(blob.id);
    this.#options.onProgress({ files: 0, bytes: count * CHUNK_BYTES });
    if (count === lastSeq + 1 || !this.#audit.isBlobAsRead(blob)) return;
    yield {
      of: { key, isWanted: false },
      why: `partial download with a gap: ${count} chunks up to number ${lastSeq}`,
    };
  }

  *#ownerlessFaults(): Generator<Fault> {
    for (const unused of this.#audit.ownerless()) yield { of: { unused }, why: 'chunks of no blob' };
  }

  async *#entryFaults(): AsyncGenerator<Fault> {
    for (const entry of this.#audit.entries()) {
      if (this.#options.signal.aborted) return;
      const why = await this.#entryFault(entry);
      this.#options.onProgress({ files: 1, bytes: 0 });
      if (why === undefined || !this.#audit.isEntryAsRead(entry)) continue;
      const { key, status, kind } = entry;
      // A checksum database's files come again by themselves, with the next lookup.
      yield { of: { key, isWanted: status === 200 && kind !== 'sumdb' }, why };
    }
  }

  async #entryFault(entry: AuditedEntry): Promise<string | undefined> {
    try {
      const why = entry.body === null ? this.#blobFault(entry) : bodyFault(entry.body, entry);
      if (why === undefined) await this.#checkContent(entry);
      return why;
    } catch (error) {
      if (isServeError(error) || isDamage(error)) return messageOf(error);
      throw error;
    }
  }

  #blobFault({ blob: id, size, sha256 }: AuditedEntry): string | undefined {
    if (id === null) return 'has no body';
    const blob = this.#audit.blob(id);
    if (blob?.sha256 == null) return blob === undefined ? `no blob ${id}` : `blob ${id} is not whole`;
    if (blob.size !== size) return `blob ${id} has ${blob.size} bytes, not ${size}`;
    if (!blob.sha256.equals(sha256)) return `blob ${id} has another SHA-256`;
    // One that came or became whole after the blobs were read.
    if (id > this.#lastBlob || this.#growing.has(id)) this.#checkBlob(blob);
    return this.#badBlobs.get(id);
  }

  /** Reads a whole blob, and remembers what is wrong with it. */
  #checkBlob(blob: AuditedBlob): void {
    try {
      const why = this.#readBlob(blob);
      // Half read when it was dropped, it is nobody's.
      if (why === undefined || !this.#audit.isBlobAsRead(blob)) return;
      this.#badBlobs.set(blob.id, `blob ${blob.id} ${why}`);
    } catch (error) {
      if (!isDamage(error)) throw error;
      this.#badBlobs.set(blob.id, `blob ${blob.id}: ${messageOf(error)}`);
    }
  }

  #readBlob({ id, size, sha256 }: AuditedBlob): string | undefined {
    const digest = createHash('sha256');
    const { count } = this.#audit.chunkSpan(id);
    let bytes = 0;
    for (let seq = 0; seq < count; seq++) {
      const chunk = this.#audit.chunk(id, seq);
      if (chunk === undefined) break;
      digest.update(chunk);
      bytes += chunk.byteLength;
      this.#options.onProgress({ files: 0, bytes: chunk.byteLength });
      if (this.#options.signal.aborted) return undefined;
      if (chunk.byteLength !== CHUNK_BYTES) break;
    }
    const isWhole = bytes === size && count === Math.ceil(bytes / CHUNK_BYTES);
    if (!isWhole) return `has ${bytes} bytes in ${count} chunks where ${size} are due`;
    return sha256?.equals(digest.digest()) === true ? undefined : 'has not its SHA-256';
  }

  /** @throws {ServeError} the body is not what the key says */
  async #checkContent({ key, status, kind, h1, blob, body, size }: AuditedEntry): Promise<void> {
    const due = kindOfKey(key);
    if (due !== 'other' && due !== kind) throw new BadRequest(`is stored as the kind ${kind}`);
    if (status !== 200 || kind === 'sumdb') return;
    const resource = parseResource(key);
    if (resource === undefined) throw new BadRequest(`not the path of a GOPROXY's file`);
    const source = bodySource({ blob, body, size }, this.#audit);
    if (resource.kind === 'zip') {
      // Inflating all takes ten times as long, and what it could tell, the SHA-256 has told but for this.
      if (h1 === null) checkZip(source, resource);
      else checkHash(h1, hashZip(source, resource).h1);
      return;
    }
    const bytes = readExactly(source, { offset: 0, length: size });
    checkSmall(resource, key, bytes);
    if (h1 !== null) checkHash(h1, hashGoMod(bytes));
  }
}

/** An entry's body, wherever it lies. */
export function bodySource(
  { blob, body, size }: Pick<AuditedEntry, 'blob' | 'body' | 'size'>,
  audit: StoreAudit,
): ByteSource {
  return body === null ? audit.source(blob ?? 0, size) : bufferSource(body);
}

function checkHash(recorded: string, found: string): void {
  if (found !== recorded) throw new CheckFailed(`its h1 is ${found}, recorded is ${recorded}`);
}

function bodyFault(body: Uint8Array, { size, sha256 }: { size: number; sha256: Buffer }): string | undefined {
  if (body.byteLength !== size) return `has ${body.byteLength} bytes, not ${size}`;
  return sha256.equals(hash('sha256', body, 'buffer')) ? undefined : 'has not its SHA-256';
}

/** SQLite can't read what it has written: bad pages, or a disk that fails. */
function isDamage(error: unknown): boolean {
  const { code } = error as { code?: unknown };
  return typeof code === 'string' && /^SQLITE_(?:CORRUPT|NOTADB|IOERR)/.test(code);
}
