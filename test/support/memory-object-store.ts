/** An object store in memory, for tests. Has the promises of the port, by the contract in `test/contract`. */

import { createHash } from 'node:crypto';
import { UpstreamDown, UpstreamFailed } from '../../src/core/errors.ts';
import type { ObjectBody, ObjectStore } from '../../src/core/object-store.ts';

type Kept = { readonly bytes: Buffer; readonly note: string | undefined; readonly version: number };

export class MemoryObjectStore implements ObjectStore {
  readonly objects = new Map<string, Kept>();
  /** All methods fail while it is set. */
  isDown = false;
  /** The requests so far, such as `put mod/x`. */
  readonly asked: string[] = [];
  readonly #pageSize: number;
  #version = 0;

  constructor(pageSize = 1000) {
    this.#pageSize = pageSize;
  }

  get: ObjectStore['get'] = async (key, range) => {
    this.#ask('get', key);
    const kept = this.objects.get(key);
    if (kept === undefined || (range !== undefined && range.etag !== etagOf(kept))) return undefined;
    return { ...infoOf(kept), body: piecesOf(kept.bytes.subarray(range?.from ?? 0)) };
  };

  head: ObjectStore['head'] = async (key) => {
    this.#ask('head', key);
    const kept = this.objects.get(key);
    return kept && infoOf(kept);
  };

  put: ObjectStore['put'] = async (key, body, { isOnce }) => {
    this.#ask('put', key);
    const bytes = await whole(body);
    if (isOnce && this.objects.has(key)) return 'present';
    this.lay(key, bytes, body.note);
    return 'stored';
  };

  list: ObjectStore['list'] = async ({ prefix, next = '' }) => {
    this.#ask('list', prefix);
    const keys = [...this.objects.keys()].filter((key) => key.startsWith(prefix) && key > next).sort();
    const page = keys.slice(0, this.#pageSize);
    const objects = page.map((key) => ({ key, size: this.objects.get(key)?.bytes.length ?? 0 }));
    return { objects, next: keys.length > page.length ? page.at(-1) : undefined };
  };

  /** Stores an object behind the port's back. */
  lay(key: string, bytes: Uint8Array | string, note?: string): void {
    this.objects.set(key, { bytes: Buffer.from(bytes), note, version: ++this.#version });
  }

  #ask(verb: string, key: string): void {
    this.asked.push(`${verb} ${key}`);
    if (this.isDown) throw new UpstreamDown('cannot ask the bucket: it is down');
  }
}

function infoOf(kept: Kept) {
  const { bytes, note } = kept;
  return { size: bytes.length, etag: etagOf(kept), sha256: sha256(bytes), note };
}

function etagOf({ version }: Kept): string {
  return `"${version}"`;
}

async function* piecesOf(bytes: Buffer): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 64 * 1024)
    yield new Uint8Array(bytes.subarray(at, at + 64 * 1024));
}

async function whole(body: ObjectBody): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of body.open()) pieces.push(piece);
  const bytes = Buffer.concat(pieces);
  if (bytes.length !== body.size || sha256(bytes) !== body.sha256) throw new UpstreamFailed('another body');
  return bytes;
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
