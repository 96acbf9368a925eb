/** The one thing that the store knows of a policy: since when versions must have an age. */

import type { WriterPort } from '../core/store-port.ts';
import type { Connection } from './schema.ts';

/** The setting with that time. */
const DELAYED_SINCE = 'delayed_since_ms';

export class PolicyWriter {
  readonly #sql;

  constructor(db: Connection) {
    this.#sql = {
      get: db.prepare<[string], string>('SELECT value FROM setting WHERE name = ?').pluck(),
      put: db.prepare<[string, string]>('INSERT INTO setting VALUES (?, ?)'),
      drop: db.prepare<[string]>('DELETE FROM setting WHERE name = ?'),
    };
  }

  delayYoung: WriterPort['delayYoung'] = ({ isOn, nowMs }) => {
    if (!isOn) {
      this.#sql.drop.run(DELAYED_SINCE);
      return {};
    }
    const before = this.#sql.get.get(DELAYED_SINCE);
    if (before !== undefined) return { sinceMs: Number(before) };
    this.#sql.put.run(DELAYED_SINCE, String(nowMs));
    return { sinceMs: nowMs };
  };
}
