/** Fills a store with made-up versions, a transaction for some hundred of them. */

import { StoreWriter } from '../../src/store/writer.ts';
import { madeUpFiles } from '../../test/support/module-zip.ts';
import { type Filling, madeUpVersion } from './made-up-store.ts';

const GROUP = 256;

process.on('disconnect', () => process.exit(0));
process.on('message', (filling: Filling) => process.send?.(fill(filling)));

function fill({ db, name, from, to, contentBytes: zipBytes }: Filling): { contentBytes: number } {
  const writer = new StoreWriter(db);
  let blob = writer.lastBlobId();
  let contentBytes = 0;
  const put = (at: number) => {
    const module = madeUpVersion(name, at, zipBytes);
    for (const [kind, bytes] of Object.entries(madeUpFiles(module))) {
      const key = `${module.path}/@v/${module.version}.${kind}`;
      writer.putEntry({ key, status: 200, source: 'upstream', nowMs: Date.now(), blob: ++blob, bytes });
      contentBytes += bytes.byteLength;
    }
  };
  for (let first = from; first < to; first += GROUP) {
    writer.inTransaction(() => {
      for (let at = first; at < Math.min(to, first + GROUP); at++) put(at);
    });
    writer.checkpoint({ truncate: true });
  }
  writer.close();
  return { contentBytes };
}
