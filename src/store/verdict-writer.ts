/** Writes of the checksum database's verdicts on stored files. */

import { KEYS_PER_CALL_MAX } from '../core/limits.ts';
import type { WriterPort } from '../core/store-port.ts';
import type { Connection } from './schema.ts';
import { FROM_UNSETTLED } from './unsettled.ts';

/** The setting that says whose word `confirmed` is. */
const CONFIRMED_BY = 'confirmed_by';

/** The setting that says which modules were private at the last start. */
const EXEMPT_PATTERNS = 'exempt_patterns';

export class VerdictWriter {
  readonly #sql;

  constructor(db: Connection) {
    this.#sql = prepare(db);
  }

  setVerdict: WriterPort['setVerdict'] = ({ key, sha256, trust, h1, wait }) => {
    const content = Buffer.from(sha256, 'hex');
    const { unknownTimes = null, askAfterMs = null } = wait ?? {};
    this.#sql.setVerdict.run(trust, h1 ?? null, unknownTimes, askAfterMs, key, content);
    return {};
  };

  confirmBy: WriterPort['confirmBy'] = ({ signer, row }) => {
    const before = this.#sql.setting.get(CONFIRMED_BY);
    if (before === signer) return { doubted: 0 };
    const nextRow = row + KEYS_PER_CALL_MAX;
    // A store that never said whose word it has: an earlier Astera's, or new.
    const doubted = before === undefined ? 0 : this.#sql.doubt.run(row, nextRow).changes;
    if (before !== undefined && nextRow <= (this.#sql.lastEntryId.get()?.id ?? 0))
      return { doubted, nextRow };
    this.#sql.putSetting.run(CONFIRMED_BY, signer);
    return { doubted };
  };

  exemptBy: WriterPort['exemptBy'] = ({ patterns }) => {
    if (this.#sql.setting.get(EXEMPT_PATTERNS) === patterns) return { asked: 0 };
    this.#sql.putSetting.run(EXEMPT_PATTERNS, patterns);
    return { asked: this.#sql.askNow.run().changes };
  };

  dropVerdicts: WriterPort['dropVerdicts'] = ({ database, row }) => {
    const judge = this.#sql.setting.get(CONFIRMED_BY);
    // A store that never said so: an earlier Astera's.
    if (judge !== undefined && !judge.startsWith(`${database}+`)) return { dropped: 0 };
    const nextRow = row + KEYS_PER_CALL_MAX;
    const dropped = this.#sql.uncheck.run(row, nextRow).changes;
    return nextRow > (this.#sql.lastEntryId.get()?.id ?? 0) ? { dropped } : { dropped, nextRow };
  };
}

function prepare(db: Connection) {
  return {
    setVerdict: db.prepare<[string, string | null, number | null, number | null, string, Buffer]>(
      `UPDATE entry SET trust = ?, h1 = coalesce(?, h1),
         unknown_times = coalesce(?, unknown_times), ask_after_ms = coalesce(?, ask_after_ms)
       WHERE key = ? AND sha256 = ?`,
    ),
    setting: db.prepare<[string], string>('SELECT value FROM setting WHERE name = ?').pluck(),
    putSetting: db.prepare<[string, string]>('INSERT OR REPLACE INTO setting VALUES (?, ?)'),
    doubt: db.prepare<[number, number]>(
      `UPDATE entry SET trust = 'unconfirmed', unknown_times = 0, ask_after_ms = 0
       WHERE id >= ? AND id < ? AND trust <> 'unchecked'`,
    ),
    askNow: db.prepare<[]>(
      `UPDATE entry SET ask_after_ms = 0
       WHERE id IN (SELECT id ${FROM_UNSETTLED} AND trust = 'unchecked' AND ask_after_ms > 0)`,
    ),
    uncheck: db.prepare<[number, number]>(
      `UPDATE entry SET trust = 'unchecked', unknown_times = 0, ask_after_ms = 0
       WHERE id >= ? AND id < ? AND trust <> 'unchecked'`,
    ),
    lastEntryId: db.prepare<[], { id: number }>('SELECT coalesce(max(id), 0) AS id FROM entry'),
  };
}
