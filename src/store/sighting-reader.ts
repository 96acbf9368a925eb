/** Reads of sightings: versions that came into a list while it was known. */

import type { ReaderPort, Sighting } from '../core/store-port.ts';
import type { Connection } from './schema.ts';

export class SightingReader {
  readonly #find;

  constructor(db: Connection) {
    this.#find = db.prepare<[string], Sighting>(
      'SELECT version, absent_at_ms AS absentAtMs FROM sighting WHERE module = ?',
    );
  }

  getSightings: ReaderPort['getSightings'] = ({ module }) => ({ sightings: this.#find.all(module) });
}
