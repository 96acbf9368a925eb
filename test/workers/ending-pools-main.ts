/**
 * Ends pools at all moments of their start: `node ending-pools-main.ts ENTRY COUNT`. The last one is left to the process's
 * end. Prints `ended COUNT`.
 */

import { pathToFileURL } from 'node:url';
import { ReaderPool } from '../../src/workers/reader-pool.ts';

const [entry = '', count = ''] = process.argv.slice(2);
const open = () => new ReaderPool({ dbPath: 'none', threads: 1, url: pathToFileURL(entry) });
const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

const first = open();
const start = performance.now();
await first.call.getEntry({ key: 'k' }).catch(() => {}); // The answer comes when the entry is loaded.
const loadMs = performance.now() - start;
await first.close();
for (let i = 0; i < Number(count); i++) {
  const pool = open();
  await wait((loadMs * i) / Number(count));
  await pool.close();
}
process.stdout.write(`ended ${count}\n`);
open();
await wait(loadMs / 2);
process.exit();
