/** The rows of the build cache, for `astera verify`: as `store/audit.ts` reads those of answers. */

import { upTo } from './audit-rows.ts';
import type { Connection } from './schema.ts';

export type AuditedOutput = {
  /** Its blob. */
  readonly id: number;
  /** Null where there is no such blob, or it is not whole. */
  readonly outputId: string | null;
  /** Actions that have it, as it says, and as there are. */
  readonly actions: number;
  readonly counted: number;
};

/** An action whose output is not there. */
export type LostAction = { readonly id: number; readonly namespace: string; readonly actionId: string };

const ROWS_PER_READ = 512;

const OUTPUTS = `SELECT output.blob AS id, nullif(lower(hex(sha256)), '') AS outputId, actions,
    (SELECT count(*) FROM action WHERE action.output = output.blob) AS counted
  FROM output LEFT JOIN blob ON blob.id = output.blob`;

export class BuildCacheAudit {
  readonly #outputs;
  readonly #output;
  readonly #lastOutput;
  readonly #lostActions;
  readonly #lastAction;

  constructor(db: Connection) {
    this.#outputs = db.prepare<[number, number], AuditedOutput>(
      `${OUTPUTS} WHERE output.blob > ? AND output.blob <= ? ORDER BY output.blob LIMIT ${ROWS_PER_READ}`,
    );
    this.#output = db.prepare<[number], AuditedOutput>(`${OUTPUTS} WHERE output.blob = ?`);
    this.#lastOutput = db.prepare<[], { id: number | null }>('SELECT max(blob) AS id FROM output');
    this.#lostActions = db.prepare<[number, number], LostAction>(
      `SELECT id, namespace, lower(hex(action_id)) AS actionId FROM action
       WHERE id > ? AND id <= ? AND NOT EXISTS (SELECT 1 FROM output WHERE blob = action.output)
       ORDER BY id LIMIT ${ROWS_PER_READ}`,
    );
    this.#lastAction = db.prepare<[], { id: number | null }>('SELECT max(id) AS id FROM action');
  }

  /** Those there are when the first is taken. */
  outputs(): Generator<AuditedOutput> {
    const last = this.#lastOutput.get()?.id ?? -1;
    return upTo(last, (after) => this.#outputs.all(after, last));
  }

  /** As {@link outputs}. */
  lostActions(): Generator<LostAction> {
    const last = this.#lastAction.get()?.id ?? -1;
    return upTo(last, (after) => this.#lostActions.all(after, last));
  }

  /** Whether the row still says what it said when it was read. */
  isAsRead({ id, outputId, actions, counted }: AuditedOutput): boolean {
    const now = this.#output.get(id);
    return now?.outputId === outputId && now.actions === actions && now.counted === counted;
  }
}
