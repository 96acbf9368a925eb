/** What a server was told of its room at its last start, for the figures of commands: `--max-size`, and what it never evicts. */

import type { StoreBounds, WriterPort } from '../core/store-port.ts';
import type { Connection } from './schema.ts';

const NAME = 'size_bounds';

export function keepWithin(db: Connection): WriterPort['keepWithin'] {
  const put = db.prepare<[string, string]>('INSERT OR REPLACE INTO setting VALUES (?, ?)');
  return (bounds) => {
    const text = JSON.stringify(bounds);
    if (text !== JSON.stringify(boundsOf(db))) put.run(NAME, text);
    return {};
  };
}

/** The bounds of the last start; none if there was no server yet. */
export function boundsOf(db: Connection): StoreBounds {
  const text = db.prepare<[string], string>('SELECT value FROM setting WHERE name = ?').pluck().get(NAME);
  return text === undefined ? { pinned: '' } : (JSON.parse(text) as StoreBounds); // Written above.
}
