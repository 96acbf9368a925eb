/**
 * The owners of a blob: it lives as long as any of them has it.
 *
 * A kind of owner is one line here. Each has an index on its column, as the writer asks at every drop.
 */

import type { Connection } from './schema.ts';

/** Queries that find an owner of the blob `?`. */
const OWNERS = [
  'SELECT 1 AS found FROM entry WHERE blob = ?',
  'SELECT 1 AS found FROM output WHERE blob = ?',
  'SELECT 1 AS found FROM leaving WHERE blob = ?',
] as const;

export class BlobOwners {
  readonly #queries;

  constructor(db: Connection) {
    this.#queries = OWNERS.map((sql) => db.prepare<[number], { found: 1 }>(`${sql} LIMIT 1`));
  }

  /** Whether anything has it. */
  has(blob: number): boolean {
    return this.#queries.some((query) => query.get(blob) !== undefined);
  }
}
