/**
 * Checks a store: every blob and body has its hash, every entry its whole body, and every
 * body is what its key says. `astera verify` lists the faults.
 *
 * The store is read beside a running server: an entry that was replaced or dropped meanwhile is no fault.
 */

import { hash } from 'node:crypto';
import type { ActionName } from '../core/build-cache-port.ts';
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
import type { AuditedOutput } from '../store/build-cache-audit.ts';
import { BlobCheck, isDamage } from './blob-check.ts';

/**
 * A fault, and the thing that has it: an answer or a partial download, by key, and whether it is worth
 * fetching again; a build output or chunks that nothing needs, by their blob's number; a build action; or the
 * whole store file.
 */
export type Fault = {
  readonly of:
    | { readonly key: string; readonly isWanted: boolean }
    | { readonly unused: number }
    | { readonly output: number; readonly outputId: string | null }
    | { readonly action: ActionName }
    | 'file';
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
  readonly #blobs: BlobCheck;

  constructor(options: StoreCheckOptions) {
    this.#options = options;
    this.#audit = options.audit;
    this.#blobs = new BlobCheck(options);
  }

  /** Every fault, as it is found. Ends early when told to stop. */
  async *faults(): AsyncGenerator<Fault> {
    yield* this.#guarded(() => this.#fileFaults());
    yield* this.#guarded(() => this.#blobFaults());
    yield* this.#guarded(() => this.#ownerlessFaults());
    yield* this.#guarded(() => this.#entryFaults());
    yield* this.#guarded(() => this.#outputFaults());
    yield* this.#guarded(() => this.#actionFaults());
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
      this.#blobs.check(blob);
      if (blob.growingKind === 'entry') yield* this.#growingFaults(blob, blob.growingKey ?? '');
      const isOurs = blob.growingKind !== null || this.#audit.isOwned(blob.id);
      if (isOurs || !this.#audit.isBlobAsRead(blob)) continue;
      yield { of: { unused: blob.id }, why: 'nothing has this blob as its body' };
    }
  }

  /** The chunks of a partial download must have no gap: a resume continues at their end. Nobody resumes an upload. */
  *#growingFaults(blob: AuditedBlob, key: string): Generator<Fault> {
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
    if (blob.encoding !== 'identity') return `blob ${id} is packed`;
    return this.#blobs.faultOf(blob);
  }

  *#outputFaults(): Generator<Fault> {
    const { buildCache } = this.#audit;
    for (const output of buildCache.outputs()) {
      if (this.#options.signal.aborted) return;
      const why = this.#outputFault(output);
      if (why === undefined || !buildCache.isAsRead(output)) continue;
      yield { of: { output: output.id, outputId: output.outputId }, why };
    }
  }

  #outputFault({ id, outputId, actions, counted }: AuditedOutput): string | undefined {
    const blob = this.#audit.blob(id);
    if (blob === undefined) return `no blob ${id}`;
    if (outputId === null || blob.sha256 === null) return `blob ${id} is not whole`;
    if (actions !== counted) return `counts ${actions} actions, has ${counted}`;
    return this.#blobs.faultOf(blob);
  }

  *#actionFaults(): Generator<Fault> {
    for (const { namespace, actionId } of this.#audit.buildCache.lostActions()) {
      yield { of: { action: { namespace, actionId } }, why: 'its output is not there' };
    }
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
