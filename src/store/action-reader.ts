/** Reads of build actions and outputs. */

import type {
  ActionRow,
  BodyForm,
  BuildCacheReaderPort,
  Encoding,
  OutputRow,
} from '../core/build-cache-port.ts';
import { BadRequest, messageOf, StoreFailed } from '../core/errors.ts';
import { freeBytes } from '../core/free-bytes.ts';
import { CHUNKS_PER_BLOB, NAMESPACES_PER_CALL_MAX, SHORT_IDS_PER_CALL_MAX } from '../core/limits.ts';
import { type SessionAction, SHORT_ID_BYTES } from '../core/session-port.ts';
import { idBytes } from './cache-id.ts';
import { unpackChunk } from './packing.ts';
import { type Connection, chunkId } from './schema.ts';

type OutputColumns = {
  outputId: string;
  size: number;
  encoding: Encoding;
  storedBytes: number;
  blob: number;
  bytes: Buffer | null;
};

type ActionColumns = OutputColumns & {
  namespace: string;
  time: string;
  storedAtMs: number;
  usedAtMs: number;
  note: string | null;
};

// In hex already: a Buffer costs a row more than SQLite's own two functions. `@wants`: whether the bytes are wanted.
const OUTPUT_COLUMNS = `lower(hex(blob.sha256)) AS outputId, blob.size, blob.encoding, blob.stored_bytes AS storedBytes,
  blob.id AS blob,
  iif(@wants, (SELECT bytes FROM chunk WHERE chunk.id = blob.id * ${CHUNKS_PER_BLOB}), NULL) AS bytes`;

export class ActionReader {
  readonly #action;
  readonly #output;
  readonly #chunk;
  readonly #isStored;
  readonly #between;
  readonly #ids;

  constructor(db: Connection) {
    this.#action = db.prepare<[{ wants: number; namespace: string; id: Buffer }], ActionColumns>(
      `SELECT namespace, time, action.stored_at_ms AS storedAtMs, action.used_at_ms AS usedAtMs, note, ${OUTPUT_COLUMNS}
       FROM action JOIN blob ON blob.id = action.output WHERE namespace = @namespace AND action_id = @id`,
    );
    this.#output = db.prepare<[{ wants: number; id: Buffer }], OutputColumns>(
      `SELECT ${OUTPUT_COLUMNS} FROM blob JOIN output ON output.blob = blob.id WHERE sha256 = @id`,
    );
    this.#chunk = db.prepare<[number, number], { bytes: Buffer; encoding: Encoding }>(
      'SELECT bytes, encoding FROM chunk JOIN blob ON blob.id = ? WHERE chunk.id = ?',
    );
    this.#between = db.prepare<
      [{ wants: number; namespace: string; from: Buffer; to: Buffer }],
      ActionColumns & { actionId: string }
    >(
      `SELECT lower(hex(action_id)) AS actionId, namespace, time, action.stored_at_ms AS storedAtMs,
         action.used_at_ms AS usedAtMs, note, ${OUTPUT_COLUMNS}
       FROM action JOIN blob ON blob.id = action.output
       WHERE namespace = @namespace AND action_id BETWEEN @from AND @to LIMIT 1`,
    );
    this.#ids = db.prepare<[string, Buffer, number], { id: Buffer }>(
      'SELECT action_id AS id FROM action WHERE namespace = ? AND action_id > ? ORDER BY action_id LIMIT ?',
    );
    this.#isStored = db.prepare<[Buffer], { blob: number }>(
      'SELECT blob FROM blob JOIN output ON output.blob = blob.id WHERE sha256 = ?',
    );
  }

  getAction: BuildCacheReaderPort['getAction'] = ({ namespaces, actionId, body }) => {
    if (namespaces.length > NAMESPACES_PER_CALL_MAX)
      throw new BadRequest(`${namespaces.length} namespaces: over ${NAMESPACES_PER_CALL_MAX}`);
    const id = idBytes(actionId);
    for (const namespace of namespaces) {
      const row = this.#action.get({ wants: wants(body), namespace, id });
      if (row !== undefined) return { action: actionOf(row), ...bytesOf(row, body) };
    }
    return {};
  };

  getOutput: BuildCacheReaderPort['getOutput'] = ({ outputId, body }) => {
    const row = this.#output.get({ wants: wants(body), id: idBytes(outputId) });
    return row === undefined ? {} : { output: outputOf(row), ...bytesOf(row, body) };
  };

  getOutputChunk: BuildCacheReaderPort['getOutputChunk'] = ({ blob, seq, body }) => {
    const row = this.#chunk.get(blob, chunkId(blob, seq));
    return row === undefined ? {} : bytesOf(row, body);
  };

  /** An action whose ID begins so, from the first namespace that has one. */
  byShortId(namespaces: readonly string[], shortId: Buffer): SessionAction | undefined {
    const from = Buffer.alloc(ID_BYTES, 0x00);
    const to = Buffer.alloc(ID_BYTES, 0xff);
    for (const end of [from, to]) shortId.copy(end);
    for (const namespace of namespaces) {
      const row = this.#between.get({ wants: wants('none'), namespace, from, to });
      if (row !== undefined) return { ...actionOf(row), actionId: row.actionId };
    }
    return undefined;
  }

  getShortIds: BuildCacheReaderPort['getShortIds'] = ({ namespace, after }) => {
    const from = after === '' ? Buffer.alloc(0) : idBytes(after);
    const rows = this.#ids.all(namespace, from, SHORT_IDS_PER_CALL_MAX);
    const bytes = new Uint8Array(rows.length * SHORT_ID_BYTES);
    for (const [at, { id }] of rows.entries()) bytes.set(id.subarray(0, SHORT_ID_BYTES), at * SHORT_ID_BYTES);
    const last = rows.length < SHORT_IDS_PER_CALL_MAX ? undefined : rows.at(-1)?.id.toString('hex');
    return last === undefined ? { bytes } : { bytes, last };
  };

  getOutputsStored: BuildCacheReaderPort['getOutputsStored'] = ({ outputIds }) => {
    return { stored: outputIds.map((id) => this.#isStored.get(idBytes(id)) !== undefined) };
  };
}

const ID_BYTES = 32;

function wants(body: BodyForm): number {
  return body === 'none' ? 0 : 1;
}

/** @throws {StoreFailed} the chunk is damaged */
function bytesOf(
  { bytes, encoding }: Pick<OutputColumns, 'bytes' | 'encoding'>,
  body: BodyForm,
): { bytes?: Uint8Array } {
  if (bytes === null) return {};
  if (body === 'stored') return { bytes };
  try {
    const unpacked = unpackChunk(bytes, encoding);
    if (unpacked !== bytes) freeBytes(bytes);
    return { bytes: unpacked };
  } catch (cause) {
    throw new StoreFailed(`cannot read output: ${messageOf(cause)}`, { cause });
  }
}

function outputOf({ outputId, size, encoding, storedBytes, blob }: OutputColumns): OutputRow {
  return { outputId, size, encoding, storedBytes, blob };
}

function actionOf(row: ActionColumns): ActionRow {
  const { namespace, time, storedAtMs, usedAtMs, note } = row;
  return { ...outputOf(row), namespace, time, storedAtMs, usedAtMs, note: note ?? undefined };
}
