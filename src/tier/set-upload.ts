/**
 * Uploads of the build cache's sets, as packs: by the same rules as the cache program writes them (`packs/set-plan.ts`), so that
 * both share them. What goes in is what the store has of the main namespace. Chunks go first, then the index that names them.
 */

import { createHash } from 'node:crypto';
import { BUCKET_SIGNATURES_MAX, isSignature } from '../core/build-cache-wire.ts';
import { STORED_MAIN } from '../core/cache-id.ts';
import { isServeError, messageOf, StoreFailed } from '../core/errors.ts';
import { freeBytes } from '../core/free-bytes.ts';
import { CHUNK_BYTES } from '../core/limits.ts';
import { bodyOf, type ObjectBody } from '../core/object-store.ts';
import { type SessionAction, type SessionRow, SHORT_ID_BYTES } from '../core/session-port.ts';
import { shortIdsOf } from '../core/session-wire.ts';
import { type MadeChunk, makeChunk, type PackReader } from '../packs/pack-chunk.ts';
import {
  encodePackIndex,
  type PackChunk,
  type PackIndex,
  type PackRow,
  packChunkKey,
  packSetKey,
  shortId,
} from '../packs/pack-index.ts';
import { groupsOf, placed } from '../packs/set-chunks.ts';
import { type Found, type PlanParts, planSet } from '../packs/set-plan.ts';
import { ZstdPacker } from '../packs/zstd-streams.ts';
import { PACK_KNOWN_MS, PACK_PLAIN_BYTES_A_BYTE } from './limits.ts';
import type { PackIndexes } from './pack-indexes.ts';
import { NOTHING_TO_DO, putOnce, type Uploaded, type UploadOptions } from './upload.ts';

export type SetUploadOptions = UploadOptions & {
  readonly indexes: Pick<PackIndexes, 'find' | 'written'>;
};

/** What the store has of a set. */
type OwnSet = {
  readonly session: SessionRow;
  readonly actions: readonly SessionAction[];
  /** Short IDs. */
  readonly apart: readonly string[];
};

/** Uploads what the bucket lacks of a set. One that is stored no more needs nothing. @throws as {@link putOnce} */
export async function uploadSet(options: SetUploadOptions, key: string): Promise<Uploaded> {
  const own = await readSet(options, key);
  if (own === undefined) return NOTHING_TO_DO;
  const { project } = own.session;
  const known = (await options.indexes.find({ key, project }, PACK_KNOWN_MS))?.index ?? EMPTY;
  if (planOf(options, { ...own, index: known }) === undefined) return NOTHING_TO_DO;
  // As it is now: another server may have written it since.
  const index = (await options.indexes.find({ key, project }, 0))?.index ?? EMPTY;
  const also = shortIdsOf(index.rows.map(({ actionId }) => actionId));
  const others = await readSet(options, key, also);
  const plan = planOf(options, { ...own, index, others: others?.actions });
  if (plan === undefined) return NOTHING_TO_DO;
  const groups = groupsOf([...plan.fresh.values()]);
  const chunks: PackChunk[] = [];
  let bytes = 0;
  const packer = new ZstdPacker();
  try {
    for (const group of groups) {
      const { chunk, isNew } = await uploadChunk(options, group, packer);
      chunks.push(chunk);
      if (isNew) bytes += chunk.storedBytes;
    }
  } finally {
    packer.close();
  }
  const next = placed(plan, groups, chunks);
  if (next === undefined) return NOTHING_TO_DO;
  return { bytes: bytes + (await uploadIndex(options, { key, project }, next)), queued: [] };
}

const EMPTY: PackIndex = { rows: [], apart: [] };

/** @param also short IDs of other actions that are to be looked for */
async function readSet(
  { store }: SetUploadOptions,
  key: string,
  also?: Uint8Array,
): Promise<OwnSet | undefined> {
  const { session, actions, apart } = await store.getSession({
    namespaces: [STORED_MAIN],
    key,
    project: key,
    held: new Uint8Array(0),
    ...(also !== undefined && { also }),
    wantsBases: false,
  });
  if (session?.key !== key) return undefined;
  const bytes = Buffer.from(apart ?? []);
  const count = Math.floor(bytes.length / SHORT_ID_BYTES);
  const idAt = (at: number) => bytes.toString('hex', at * SHORT_ID_BYTES, (at + 1) * SHORT_ID_BYTES);
  return { session, actions, apart: Array.from({ length: count }, (_, at) => idAt(at)) };
}

type PlanOptions = Pick<OwnSet, 'actions' | 'apart'> & {
  readonly index: PackIndex;
  /** Actions beside those of the set that may be packed anew. */
  readonly others?: readonly SessionAction[] | undefined;
};

function planOf(
  { outputBytesMin }: SetUploadOptions,
  { actions, apart, index, others = [] }: PlanOptions,
): ReturnType<typeof planSet<SessionAction>> {
  const byId = new Map([...others, ...actions].map((action) => [action.actionId, action]));
  const find: PlanParts<SessionAction>['find'] = (actionId): Found<SessionAction> | undefined => {
    const entry = byId.get(actionId);
    if (entry === undefined || entry.size < outputBytesMin) return undefined;
    return { entry, note: signaturesOf(entry.note).join(' ') || undefined };
  };
  // What was taken for apart and is stored is not.
  const stored = new Set(actions.map(({ actionId }) => shortId(actionId)));
  return planSet({
    index: { rows: index.rows, apart: index.apart.filter((id) => !stored.has(id)) },
    used: actions.map(({ actionId }) => actionId),
    apart: apart.filter((id) => !stored.has(id)),
    places: new Map(),
    find,
    isTrusted: (row) => isSigned(row, byId.get(row.actionId)),
    isBad: () => false, // The index comes without what is known to be wrong.
  });
}

/** Whether a row has all signatures of the stored action that it has room for. Nobody here checks any: clients do. */
function isSigned({ outputId, note }: PackRow, own: SessionAction | undefined): boolean {
  const [there, here] = [signaturesOf(note), signaturesOf(own?.note)];
  if (own?.outputId !== outputId) return here.length === 0 || there.length > 0;
  return there.length >= BUCKET_SIGNATURES_MAX || here.every((one) => there.includes(one));
}

function signaturesOf(note: string | undefined): string[] {
  return (note ?? '').split(' ').filter(isSignature);
}

/** @throws as {@link putOnce}. @throws {StoreFailed} an output is gone or damaged */
async function uploadChunk(
  options: SetUploadOptions,
  entries: readonly SessionAction[],
  packer: ZstdPacker,
): Promise<{ readonly chunk: PackChunk; readonly isNew: boolean }> {
  let made: MadeChunk;
  try {
    made = await makeChunk(entries, { packer, open: (entry) => storedOutput(options, entry) });
  } catch (error) {
    if (isServeError(error)) throw error;
    throw new StoreFailed(`cannot pack a chunk: ${messageOf(error)}`, { cause: error });
  }
  const { chunk, body } = made;
  const { size } = body;
  const whole = 'body' in body ? bodyOf(body.body, chunk.sha256) : undefined;
  const frames = 'frames' in body ? body.frames : undefined;
  const object: ObjectBody = whole ?? { size, sha256: chunk.sha256, open: () => frames ?? nothing() };
  return { chunk, isNew: await putOnce(options, packChunkKey(chunk.sha256), object, { isSure: true }) };
}

async function* nothing(): AsyncGenerator<Uint8Array> {}

/** Reads an output out of the store, chunk by chunk, at the pace of uploads. */
function storedOutput({ store, pace }: SetUploadOptions, { outputId, blob }: SessionAction): PackReader {
  let held: { readonly seq: number; readonly bytes: Uint8Array } | undefined;
  return {
    read: async (into, at) => {
      const seq = Math.floor(at / CHUNK_BYTES);
      if (held?.seq !== seq) {
        const { bytes } = await store.getOutputChunk({ blob, seq, body: 'plain' });
        if (bytes === undefined) throw new StoreFailed(`cannot read output ${outputId}: it is gone`);
        if (held !== undefined) freeBytes(held.bytes);
        held = { seq, bytes };
        await pace(bytes.byteLength / PACK_PLAIN_BYTES_A_BYTE);
      }
      const from = at - seq * CHUNK_BYTES;
      const part = held.bytes.subarray(from, from + into.length);
      into.set(part);
      return part.byteLength;
    },
    close: () => {
      if (held !== undefined) freeBytes(held.bytes);
    },
  };
}

/** The project's is for commands that nobody has run before. @returns the bytes that were written. @throws as {@link putOnce} */
async function uploadIndex(
  { bucket, indexes }: SetUploadOptions,
  { key, project }: Pick<SessionRow, 'key' | 'project'>,
  index: PackIndex,
): Promise<number> {
  const bytes = encodePackIndex(index);
  const body = bodyOf(bytes, createHash('sha256').update(bytes).digest('hex'));
  const keys = [...new Set([key, project])];
  for (const one of keys) {
    await bucket.put(packSetKey(one), body, { isOnce: false });
    indexes.written(one, index, bytes.byteLength);
  }
  return keys.length * bytes.byteLength;
}
