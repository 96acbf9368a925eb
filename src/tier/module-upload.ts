/** Uploads of stored files of modules: `.info`, `.mod` and `.zip` of versions, and the list and `@latest` of what the bucket has. */

import { createHash } from 'node:crypto';
import { collect } from '../core/collect.ts';
import { StoreFailed } from '../core/errors.ts';
import { CHUNK_BYTES, SMALL_BYTES_MAX } from '../core/limits.ts';
import { ModuleListing } from '../core/module-listing.ts';
import { escapeModulePath, unescapeModulePath } from '../core/module-path.ts';
import { bodyOf, type ObjectBody } from '../core/object-store.ts';
import { quote } from '../core/quote.ts';
import { parseResource, type Resource, resourceKey } from '../core/resource.ts';
import type { EntryRow } from '../core/store-port.ts';
import { moduleObject } from './layout.ts';
import { listedFiles } from './listed-files.ts';
import { NOTHING_TO_DO, putOnce, type Uploaded, type UploadOptions } from './upload.ts';

/** Uploads the stored file of a key. A file that is stored no more needs nothing. @throws as {@link putOnce} */
export async function uploadModuleFile(
  options: UploadOptions,
  key: string,
  resource: Resource,
): Promise<Uploaded> {
  const { store, isAllowed } = options;
  if (!isAllowed(resource.module)) return NOTHING_TO_DO;
  const { entry, bytes } = await store.getEntry({ key });
  if (entry?.status !== 200 || bytes === undefined) return NOTHING_TO_DO;
  const body = storedBody(options, key, { entry, bytes });
  const isSure = entry.trust === 'confirmed';
  const isNew = await putOnce(options, moduleObject(key), body, { isSure });
  // After a file that was there too: whoever wrote it may have been killed before this was queued.
  const list = { kind: 'list', name: escapeModulePath(resource.module) } as const;
  return { bytes: isNew ? entry.size : 0, queued: [list] };
}

/** A stored body. Its first piece is here; a new try reads that anew, as whoever takes a piece may free it. */
function storedBody(
  { store, pace }: Pick<UploadOptions, 'store' | 'pace'>,
  key: string,
  { entry, bytes }: { entry: EntryRow; bytes: Uint8Array },
): ObjectBody {
  const { size, sha256, blob } = entry;
  if (blob === undefined || bytes.byteLength === size) return bodyOf(bytes, sha256);
  return {
    size,
    sha256,
    open: async function* () {
      for (let seq = 0; seq * CHUNK_BYTES < size; seq++) {
        const chunk = await store.getChunk({ blob, seq });
        if (chunk.bytes === undefined)
          throw new StoreFailed(`cannot read ${quote(key)}: chunk ${seq} is gone`);
        await pace(chunk.bytes.byteLength);
        yield chunk.bytes;
      }
    },
  };
}

/** Writes the list and the `@latest` of a module (escaped path), of what the bucket has of it now. */
export async function uploadList(options: UploadOptions, escaped: string): Promise<Uploaded> {
  const { bucket } = options;
  const module = unescapeModulePath(escaped);
  const listing = new ModuleListing();
  for await (const resource of listedFiles(bucket, module)) listing.add(resource);
  const text = listing.list();
  if (text === undefined) return NOTHING_TO_DO;
  let bytes = await write(options, resourceKey({ kind: 'list', module }), Buffer.from(text));
  const version = listing.latest();
  const info = version && (await infoOf(options, resourceKey({ kind: 'info', module, version })));
  if (info !== undefined) bytes += await write(options, resourceKey({ kind: 'latest', module }), info);
  return { bytes, queued: [] };
}

/** Of the store, else of the bucket. */
async function infoOf({ store, bucket }: UploadOptions, key: string): Promise<Uint8Array | undefined> {
  const { entry, bytes } = await store.getEntry({ key });
  if (entry?.status === 200 && bytes?.byteLength === entry.size) return bytes;
  const object = await bucket.get(moduleObject(key));
  return object && collect(object.body, SMALL_BYTES_MAX);
}

async function write({ bucket }: UploadOptions, key: string, bytes: Uint8Array): Promise<number> {
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  await bucket.put(moduleObject(key), bodyOf(bytes, sha256), { isOnce: false });
  return bytes.byteLength;
}

/** The file of a module that a key names; undefined for any other key. */
export function moduleFileOf(key: string): Resource | undefined {
  try {
    return parseResource(key);
  } catch {
    return undefined;
  }
}
