/** Writes of what a policy must know over restarts: since when versions must have an age, and sightings of new ones. */

import { BadRequest } from '../core/errors.ts';
import { KEYS_PER_CALL_MAX } from '../core/limits.ts';
import type { WriterPort } from '../core/store-port.ts';
import { SIGHTINGS_MAX } from './limits.ts';
import type { Connection } from './schema.ts';

/** The setting with that time. */
const DELAYED_SINCE = 'delayed_since_ms';

export class PolicyWriter {
  readonly #sql;

  constructor(db: Connection) {
    this.#sql = prepare(db);
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

  noteSightings: WriterPort['noteSightings'] = ({ module, versions, absentAtMs }) => {
    if (versions.length > KEYS_PER_CALL_MAX) throw new BadRequest(`${versions.length} versions in one call`);
    for (const version of versions) this.#sql.note.run({ module, version, absentAtMs });
    const over = (this.#sql.count.get() ?? 0) - SIGHTINGS_MAX;
    if (over > 0) this.#sql.dropOldest.run(over);
    return {};
  };
}

function prepare(db: Connection) {
  return {
    get: db.prepare<[string], string>('SELECT value FROM setting WHERE name = ?').pluck(),
    put: db.prepare<[string, string]>('INSERT INTO setting VALUES (?, ?)'),
    drop: db.prepare<[string]>('DELETE FROM setting WHERE name = ?'),
    note: db.prepare<[{ module: string; version: string; absentAtMs: number }]>(
      `INSERT INTO sighting SELECT @module, @version, @absentAtMs WHERE NOT EXISTS (
         SELECT 1 FROM entry WHERE status = 200 AND stored_at_ms < @absentAtMs
           AND key IN (@module || '/@v/' || @version || '.info', @module || '/@v/' || @version || '.zip'))
       ON CONFLICT DO NOTHING`,
    ),
    count: db.prepare<[], number>('SELECT count(*) FROM sighting').pluck(),
    dropOldest: db.prepare<[number]>(
      `DELETE FROM sighting WHERE (module, version) IN
         (SELECT module, version FROM sighting ORDER BY absent_at_ms LIMIT ?)`,
    ),
  };
}
