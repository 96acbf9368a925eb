/** The queue for the bucket. The words: `core/upload-port.ts`. Its rows are kept while no bucket is set, but hold nothing in the store then. */

import type { EntryKind } from '../core/entry-kind.ts';
import type { UploadKind, UploadWriterPort } from '../core/upload-port.ts';
import { SET_UPLOAD_AFTER_MS, UPLOADS_QUEUED_PER_CALL, UPLOADS_WAITING_MAX } from './limits.ts';
import type { Connection } from './schema.ts';

/** What never changes, and what only grows. Lists are made of what the bucket holds. */
const KINDS: ReadonlySet<EntryKind> = new Set(['info', 'mod', 'zip', 'sumdb']);

export class UploadQueue {
  readonly #sql;
  #isOn: boolean;
  /** Undefined until somebody adds, and after a transaction that was undone. */
  #waiting: number | undefined;

  constructor(db: Connection) {
    this.#sql = prepare(db);
    this.#isOn = this.#sql.isOn.get()?.value === 'on';
  }

  /** A good answer was stored. What came from the bucket is there. */
  addEntry(entry: { key: string; kind: EntryKind; status: number; source: string; nowMs: number }): void {
    if (entry.status !== 200 || entry.source === 'bucket' || !KINDS.has(entry.kind)) return;
    this.#add('entry', entry.key, entry.nowMs);
  }

  /** An action was stored. Those of other namespaces stay here: the bucket tells none apart. */
  addAction(action: { namespace: string; actionId: Buffer; nowMs: number }): void {
    if (action.namespace === '') this.#add('action', action.actionId.toString('hex'), action.nowMs);
  }

  /** A session was put. Its set goes a while later, as the uploads of its actions may come still; more sessions put it off no further. */
  addSet(set: { namespace: string; key: string; nowMs: number }): void {
    if (set.namespace !== '') return;
    const name = set.key;
    const due = this.#sql.due.get(name)?.afterMs ?? Infinity;
    this.#add('set', name, set.nowMs, Math.min(due, set.nowMs + SET_UPLOAD_AFTER_MS));
  }

  keepUploads: UploadWriterPort['keepUploads'] = ({ isOn }) => {
    this.#sql.keep.run(isOn ? 'on' : 'off');
    this.#isOn = isOn;
    return {};
  };

  endUploads: UploadWriterPort['endUploads'] = ({ done, failed, queued, nowMs }) => {
    for (const id of done) this.#count(-this.#sql.drop.run(id).changes);
    for (const { id, why, afterMs, isLost } of failed)
      this.#sql.fail.run({ id, why: why.slice(0, WHY_LENGTH_MAX), afterMs, isLost: isLost ? 1 : 0 });
    for (const { kind, name } of queued) this.#add(kind, name, nowMs);
    return {};
  };

  retryUploads: UploadWriterPort['retryUploads'] = () => {
    const lost = this.#sql.revive.run().changes;
    this.#sql.hurry.run();
    return { lost };
  };

  queueStored: UploadWriterPort['queueStored'] = ({ kind, after, nowMs }) => {
    const rows = this.#sql[kind].all(after, UPLOADS_QUEUED_PER_CALL);
    let queued = 0;
    for (const { name } of rows) queued += this.#sql.addNew.run(kind, name, nowMs).changes;
    this.#count(queued);
    const last = rows.length < UPLOADS_QUEUED_PER_CALL ? undefined : rows.at(-1)?.id;
    return last === undefined ? { queued } : { queued, last };
  };

  /** Forgets what it has in memory of a transaction that was undone. */
  forgetUndone(): void {
    this.#waiting = undefined;
    this.#isOn = this.#sql.isOn.get()?.value === 'on';
  }

  #add(kind: UploadKind, name: string, nowMs: number, afterMs = 0): void {
    if (!this.#isOn) return;
    this.#waiting ??= this.#sql.waiting.get()?.n ?? 0;
    if (this.#waiting >= UPLOADS_WAITING_MAX) {
      this.#sql.skip.run();
      return;
    }
    // A row that is there gets a new ID: an upload of what it was may be under way.
    this.#count(-this.#sql.dropOf.run(kind, name).changes);
    this.#count(this.#sql.add.run(kind, name, nowMs, afterMs).changes);
  }

  #count(change: number): void {
    if (this.#waiting !== undefined) this.#waiting += change;
  }
}

/** The reason is a line for people. */
const WHY_LENGTH_MAX = 500;

type Row = { readonly id: number; readonly name: string };

function prepare(db: Connection) {
  return {
    isOn: db.prepare<[], { value: string }>("SELECT value FROM setting WHERE name = 'uploads'"),
    keep: db.prepare<[string]>("INSERT OR REPLACE INTO setting (name, value) VALUES ('uploads', ?)"),
    skip: db.prepare(
      `INSERT INTO setting (name, value) VALUES ('uploads_skipped', '1')
       ON CONFLICT (name) DO UPDATE SET value = CAST(CAST(value AS INTEGER) + 1 AS TEXT)`,
    ),
    waiting: db.prepare<[], { n: number }>('SELECT count(*) AS n FROM upload'),
    add: db.prepare<[UploadKind, string, number, number]>(
      'INSERT INTO upload (kind, name, queued_at_ms, after_ms) VALUES (?, ?, ?, ?)',
    ),
    due: db.prepare<[string], { afterMs: number }>(
      "SELECT after_ms AS afterMs FROM upload WHERE kind = 'set' AND name = ? AND tries = 0",
    ),
    dropOf: db.prepare<[UploadKind, string]>('DELETE FROM upload WHERE kind = ? AND name = ?'),
    addNew: db.prepare<[UploadKind, string, number]>(
      'INSERT OR IGNORE INTO upload (kind, name, queued_at_ms) VALUES (?, ?, ?)',
    ),
    drop: db.prepare<[number]>('DELETE FROM upload WHERE id = ?'),
    fail: db.prepare<[{ id: number; why: string; afterMs: number; isLost: number }]>(
      'UPDATE upload SET tries = tries + 1, after_ms = @afterMs, failure = @why, is_lost = @isLost WHERE id = @id',
    ),
    revive: db.prepare('UPDATE upload SET is_lost = 0, tries = 0 WHERE is_lost = 1'),
    hurry: db.prepare('UPDATE upload SET after_ms = 0 WHERE after_ms > 0'),
    entry: db.prepare<[number, number], Row>(
      `SELECT id, key AS name FROM entry WHERE id > ? AND status = 200 AND kind IN ('info', 'mod', 'zip', 'sumdb')
       ORDER BY id LIMIT ?`,
    ),
    action: db.prepare<[number, number], Row>(
      "SELECT id, lower(hex(action_id)) AS name FROM action WHERE id > ? AND namespace = '' ORDER BY id LIMIT ?",
    ),
    set: db.prepare<[number, number], Row>(
      "SELECT id, lower(hex(key)) AS name FROM session WHERE id > ? AND namespace = '' ORDER BY id LIMIT ?",
    ),
  };
}
