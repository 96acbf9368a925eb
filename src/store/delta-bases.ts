/** Finds the output that another one is best told by: another version of its package, which the client has. */

import type { DeltaBase, OutputRow } from '../core/build-cache-port.ts';
import { DELTA_BYTES_MIN, DELTA_GROWTH_BYTES_MAX } from '../core/limits.ts';
import { SHORT_ID_BYTES } from '../core/session-port.ts';
import { DELTA_VERSIONS_MAX } from './limits.ts';
import type { Connection } from './schema.ts';

/**
 * Last stored ones first. The joins are in this order, which CROSS keeps: SQLite knows no sizes of tables here, and would look at all
 * actions of the namespace for each output of a set.
 */
export const VERSIONS = `SELECT substr(action.action_id, 1, ${SHORT_ID_BYTES}) AS shortId,
    lower(hex(blob.sha256)) AS outputId, blob.size, blob.id AS blob
  FROM output AS own CROSS JOIN output CROSS JOIN blob CROSS JOIN action
  WHERE own.blob = @blob AND output.package_key = own.package_key AND output.blob <> @blob
    AND blob.id = output.blob AND action.output = output.blob AND action.namespace = @namespace
  ORDER BY output.blob DESC LIMIT @limit`;

type Version = DeltaBase & { readonly shortId: Buffer };

export class DeltaBases {
  readonly #versions;

  constructor(db: Connection) {
    this.#versions = db.prepare<[{ blob: number; namespace: string; limit: number }], Version>(VERSIONS);
  }

  /**
   * The version whose size is nearest: tests have packages of their own under the same path.
   *
   * @param namespaces that the client reads: it gets a delta only against what it may get whole
   * @param held short IDs of the actions that it has, as Latin-1
   */
  find(
    namespaces: readonly string[],
    { blob, size }: OutputRow,
    held: ReadonlySet<string>,
  ): DeltaBase | undefined {
    if (size < DELTA_BYTES_MIN || held.size === 0) return undefined;
    let found: DeltaBase | undefined;
    const growth = (one: DeltaBase) => Math.abs(one.size - size);
    for (const namespace of namespaces) {
      for (const { shortId, ...one } of this.#versions.iterate({
        blob,
        namespace,
        limit: DELTA_VERSIONS_MAX,
      })) {
        if (growth(one) > DELTA_GROWTH_BYTES_MAX || !held.has(shortId.toString('latin1'))) continue;
        if (found === undefined || growth(one) < growth(found)) found = one;
        if (growth(found) === 0) return found;
      }
    }
    return found;
  }
}
