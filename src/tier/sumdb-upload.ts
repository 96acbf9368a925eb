/**
 * Uploads of checksum databases: records, hash tiles and tree heads that the store has, which are all proven.
 *
 * A lookup's object is the record and the newest tree head of this node, as an answer is. A tile's object has the width that
 * is stored. So a node that reads them goes from tree head to tree head as this one did, with the tiles that this one needed.
 * Data tiles are left out, as `go` never asks for them.
 */

import { createHash } from 'node:crypto';
import { collect } from '../core/collect.ts';
import { SUMDB_ANSWER_BYTES_MAX } from '../core/limits.ts';
import { bodyOf } from '../core/object-store.ts';
import { parseSumdbPath, treeHeadKey } from '../sumdb/sumdb-path.ts';
import { DATA_LEVEL, fullWidth, type Tile, tileBytes, tilePath } from '../sumdb/tile.ts';
import { parseTree } from '../sumdb/tree-head.ts';
import { moduleObject } from './layout.ts';
import { NOTHING_TO_DO, putOnce, type Uploaded, type UploadOptions } from './upload.ts';

/** Uploads the stored file of a key that begins with `sumdb/`. @throws as {@link putOnce} */
export async function uploadSumdbFile(options: UploadOptions, key: string): Promise<Uploaded> {
  const ask = parsed(key);
  const bytes = await wholeOf(options, key);
  if (ask === undefined || bytes === undefined) return NOTHING_TO_DO;
  switch (ask.kind) {
    case 'head':
      return uploadHead(options, ask.database, bytes);
    case 'tile':
      return uploadTile(options, ask.database, ask.tile, bytes);
    case 'lookup': {
      const note = await wholeOf(options, treeHeadKey(ask.database));
      if (note === undefined || !options.isAllowed(ask.asked.module)) return NOTHING_TO_DO;
      return put(options, key, Buffer.concat([bytes, note]));
    }
    default:
      return NOTHING_TO_DO;
  }
}

/** A head that is older than the bucket's stays away from it. `supported` tells `go` that the tree has a database. */
async function uploadHead(options: UploadOptions, database: string, note: Uint8Array): Promise<Uploaded> {
  const { bucket } = options;
  const object = moduleObject(treeHeadKey(database));
  const there = await bucket.get(object);
  const newest = there && (await collect(there.body, SUMDB_ANSWER_BYTES_MAX));
  if (newest !== undefined && sizeOf(newest) >= sizeOf(note)) return NOTHING_TO_DO;
  await bucket.put(object, bodyOf(note, sha256(note)), { isOnce: false });
  await put(options, `sumdb/${database}/supported`, new Uint8Array(0));
  return { bytes: note.byteLength, queued: [] };
}

async function uploadTile(
  options: UploadOptions,
  database: string,
  tile: Tile,
  bytes: Uint8Array,
): Promise<Uploaded> {
  const width = bytes.byteLength / tileBytes({ ...tile, width: 1 });
  const isTile = Number.isInteger(width) && width > 0 && width <= fullWidth(tile.height);
  if (tile.level === DATA_LEVEL || !isTile) return NOTHING_TO_DO;
  return put(options, `sumdb/${database}/${tilePath({ ...tile, width })}`, bytes);
}

async function put(options: UploadOptions, path: string, bytes: Uint8Array): Promise<Uploaded> {
  const isNew = await putOnce(options, moduleObject(path), bodyOf(bytes, sha256(bytes)), { isSure: false });
  return { bytes: isNew ? bytes.byteLength : 0, queued: [] };
}

function parsed(key: string): ReturnType<typeof parseSumdbPath> {
  try {
    return parseSumdbPath(key);
  } catch {
    return undefined;
  }
}

/** 0 for what is none. */
function sizeOf(note: Uint8Array): number {
  try {
    return parseTree(Buffer.from(note).toString('utf8')).size;
  } catch {
    return 0;
  }
}

async function wholeOf({ store }: UploadOptions, key: string): Promise<Uint8Array | undefined> {
  const { entry, bytes } = await store.getEntry({ key });
  return entry?.status === 200 && bytes?.byteLength === entry.size ? bytes : undefined;
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
