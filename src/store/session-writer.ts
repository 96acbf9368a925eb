/** Writes of sessions: which actions are asked for together. The words: `core/session-port.ts`. */

import { BadRequest } from '../core/errors.ts';
import { NAMESPACE_LENGTH_MAX, SESSION_ACTIONS_MAX, SESSION_LABEL_LENGTH_MAX } from '../core/limits.ts';
import { type SessionWriterPort, SHORT_ID_BYTES } from '../core/session-port.ts';
import { idBytes } from './cache-id.ts';
import { SESSION_MISSED_MAX, SESSIONS_BYTES_MAX, SESSIONS_MAX } from './limits.ts';
import type { Connection } from './schema.ts';
import { mergeSet } from './session-set.ts';
import type { UploadQueue } from './upload-queue.ts';

export class SessionWriter {
  readonly #sql;
  readonly #uploads: Pick<UploadQueue, 'addSet'>;

  constructor(db: Connection, uploads: Pick<UploadQueue, 'addSet'>) {
    this.#sql = prepare(db);
    this.#uploads = uploads;
  }

  putSession: SessionWriterPort['putSession'] = (put) => {
    const { namespace, key, project, label, actions, apart = 0, isShared, nowMs } = put;
    if (
      actions.byteLength > SESSION_ACTIONS_MAX * SHORT_ID_BYTES ||
      actions.byteLength % SHORT_ID_BYTES !== 0 ||
      actions.byteLength < apart * SHORT_ID_BYTES
    )
      throw new BadRequest(`no set of actions: ${actions.byteLength} bytes`);
    if (namespace.length > NAMESPACE_LENGTH_MAX || label.length > SESSION_LABEL_LENGTH_MAX)
      throw new BadRequest("a session's namespace or label is too long");
    const name = { namespace, key: idBytes(key) };
    const before = this.#sql.find.get(name)?.actions;
    const bounds = { missedMax: SESSION_MISSED_MAX, actionsMax: SESSION_ACTIONS_MAX };
    const set = mergeSet(before, actions, { ...bounds, apart });
    if (isShared !== true) this.#uploads.addSet({ namespace, key, nowMs });
    this.#sql.put.run({ ...name, project: idBytes(project), label, actions: set, nowMs });
    this.#trim();
    return {};
  };

  /** Drops sets that nobody added to since. */
  expire(beforeMs: number): void {
    this.#sql.expire.run(beforeMs);
  }

  /** A login for other namespaces alone can't drive out the sets of the main one: up to half of the room is theirs. */
  #trim(): void {
    for (;;) {
      const size = this.#sql.size.get();
      if (size === undefined || isWithin(size, 1)) return;
      const main = this.#sql.sizeOfMain.get();
      const spares = main !== undefined && isWithin(main, 1 / 2);
      this.#sql.dropOldest.run(spares ? 1 : 0);
    }
  }
}

type Size = { readonly sessions: number; readonly bytes: number };

function isWithin({ sessions, bytes }: Size, part: number): boolean {
  return sessions <= SESSIONS_MAX * part && bytes <= SESSIONS_BYTES_MAX * part;
}

type Name = { readonly namespace: string; readonly key: Buffer };
type Put = Name & {
  readonly project: Buffer;
  readonly label: string;
  readonly actions: Buffer;
  readonly nowMs: number;
};

function prepare(db: Connection) {
  return {
    find: db.prepare<[Name], { actions: Buffer }>(
      'SELECT actions FROM session WHERE namespace = @namespace AND key = @key',
    ),
    put: db.prepare<[Put]>(
      `INSERT INTO session (namespace, key, project, label, times, used_at_ms, actions)
       VALUES (@namespace, @key, @project, @label, 1, @nowMs, @actions)
       ON CONFLICT (namespace, key) DO UPDATE SET
         project = @project, label = @label, times = times + 1, used_at_ms = @nowMs, actions = @actions`,
    ),
    size: db.prepare<[], Size>('SELECT count(*) AS sessions, total(length(actions)) AS bytes FROM session'),
    sizeOfMain: db.prepare<[], Size>(
      "SELECT count(*) AS sessions, total(length(actions)) AS bytes FROM session WHERE namespace = ''",
    ),
    // With 1, those of the main namespace come last.
    dropOldest: db.prepare<[number]>(
      `DELETE FROM session WHERE id =
         (SELECT id FROM session ORDER BY (namespace = '' AND ?), used_at_ms, id LIMIT 1)`,
    ),
    expire: db.prepare<[number]>('DELETE FROM session WHERE used_at_ms < ?'),
  };
}
