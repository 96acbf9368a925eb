/** Writes of build actions: the first put of one wins. */

import type { ActionName, BuildCacheWriterPort } from '../core/build-cache-port.ts';
import { BadRequest, NotFound } from '../core/errors.ts';
import { ACTION_NOTE_LENGTH_MAX, NAMESPACE_LENGTH_MAX } from '../core/limits.ts';
import { quote } from '../core/quote.ts';
import { idBytes } from './cache-id.ts';
import type { OutputWriter } from './output-writer.ts';
import type { Connection } from './schema.ts';
import type { UploadQueue } from './upload-queue.ts';
import type { UseTimes } from './use-times.ts';

type ActionWriterParts = {
  readonly outputs: OutputWriter;
  readonly use: UseTimes;
  readonly uploads: Pick<UploadQueue, 'addAction'>;
};

export class ActionWriter {
  readonly #outputs: OutputWriter;
  readonly #use: UseTimes;
  readonly #uploads: Pick<UploadQueue, 'addAction'>;
  readonly #sql;

  constructor(db: Connection, { outputs, use, uploads }: ActionWriterParts) {
    this.#outputs = outputs;
    this.#use = use;
    this.#uploads = uploads;
    this.#sql = prepare(db);
  }

  putAction: BuildCacheWriterPort['putAction'] = ({ outputId, time, note, isInBucket, nowMs, ...name }) => {
    const action = columnsOf(name);
    if (note !== undefined && note.length > ACTION_NOTE_LENGTH_MAX)
      throw new BadRequest(`note of ${note.length} characters: over ${ACTION_NOTE_LENGTH_MAX}`);
    this.#use.noteTime(nowMs);
    const output = this.#outputs.find(outputId);
    const known = this.#sql.find.get(action);
    if (known === undefined) {
      if (output === undefined) throw new NotFound(`output ${quote(outputId)} is not stored`);
      this.#sql.add.run({ ...action, output, time, note: note ?? null, nowMs });
      if (isInBucket !== true) this.#uploads.addAction({ ...action, nowMs });
      return { outcome: 'stored' };
    }
    if (known.output !== output) {
      this.#sql.refuse.run(idBytes(outputId), nowMs, known.id);
      return { outcome: 'refused' };
    }
    this.#sql.use.run(nowMs, joinNotes(known.note, note), known.id);
    return { outcome: 'known' };
  };

  touchActions: BuildCacheWriterPort['touchActions'] = ({ actions, nowMs }) => {
    this.#use.noteTime(nowMs);
    for (const name of actions) this.#sql.touch.run({ ...columnsOf(name), nowMs });
    return {};
  };

  dropAction: BuildCacheWriterPort['dropAction'] = (name) => {
    const action = this.#sql.find.get(columnsOf(name));
    if (action !== undefined) this.drop(action, EVER);
    return {};
  };

  dropOutput: BuildCacheWriterPort['dropOutput'] = ({ blob }) => {
    const { changes } = this.#sql.dropOf.run(blob);
    this.#outputs.drop(blob);
    return { actions: changes };
  };

  /**
   * Drops an action, and its output where no other action has it and nobody used it since `beforeMs`.
   *
   * @returns the bytes that the output was stored in; undefined where it stays
   */
  drop(
    { id, output }: { readonly id: number; readonly output: number },
    beforeMs: number,
  ): number | undefined {
    this.#sql.drop.run(id);
    return this.#outputs.isLone(output, beforeMs) ? this.#outputs.drop(output) : undefined;
  }
}

/** After all times. */
export const EVER = Number.MAX_SAFE_INTEGER;

type ActionColumns = { readonly namespace: string; readonly actionId: Buffer };

/** @throws {BadRequest} a namespace that is too long, or no action ID */
function columnsOf({ namespace, actionId }: ActionName): ActionColumns {
  if (namespace.length > NAMESPACE_LENGTH_MAX)
    throw new BadRequest(`namespace of ${namespace.length} characters: over ${NAMESPACE_LENGTH_MAX}`);
  return { namespace, actionId: idBytes(actionId) };
}

/** Past the bound the old ones stay: whoever may put could drop another's otherwise. */
function joinNotes(before: string | null, note: string | undefined): string | null {
  if (note === undefined || before?.split(' ').includes(note)) return before;
  const joined = before === null ? note : `${before} ${note}`;
  return joined.length > ACTION_NOTE_LENGTH_MAX ? before : joined;
}

type Added = ActionColumns & { output: number; time: string; note: string | null; nowMs: number };

function prepare(db: Connection) {
  return {
    find: db.prepare<[ActionColumns], { id: number; output: number; note: string | null }>(
      'SELECT id, output, note FROM action WHERE namespace = @namespace AND action_id = @actionId',
    ),
    add: db.prepare<[Added]>(
      `INSERT INTO action (namespace, action_id, output, time, note, stored_at_ms, used_at_ms)
       VALUES (@namespace, @actionId, @output, @time, @note, @nowMs, @nowMs)`,
    ),
    use: db.prepare<[number, string | null, number]>(
      'UPDATE action SET used_at_ms = ?, note = ? WHERE id = ?',
    ),
    refuse: db.prepare<[Buffer, number, number]>(
      'UPDATE action SET conflicts = conflicts + 1, conflict_output = ?, conflict_at_ms = ? WHERE id = ?',
    ),
    touch: db.prepare<[ActionColumns & { nowMs: number }]>(
      'UPDATE action SET used_at_ms = @nowMs WHERE namespace = @namespace AND action_id = @actionId',
    ),
    drop: db.prepare<[number]>('DELETE FROM action WHERE id = ?'),
    dropOf: db.prepare<[number]>('DELETE FROM action WHERE output = ?'),
  };
}
