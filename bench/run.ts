/**
 * Runs the benches and prints their tables: all of them, or those named as arguments.
 *
 * A bench is a file beside this one that exports `run(): Promise<Table>`; one line below adds it.
 */

import { cores } from './support/process-cost.ts';
import { markdown, type Table } from './support/table.ts';

const benches: Record<string, () => Promise<{ run(): Promise<Table> }>> = {
  hot: () => import('./hot.ts'),
  'cold-herd': () => import('./cold-herd.ts'),
  'first-byte': () => import('./first-byte.ts'),
  'corpus-fetch': () => import('./corpus-fetch.ts'),
  checksums: () => import('./checksums.ts'),
  'poor-line': () => import('./poor-line.ts'),
  'import-export': () => import('./import-export.ts'),
};

const named = process.argv.slice(2);
const unknown = named.find((name) => benches[name] === undefined);
if (unknown !== undefined) {
  process.stderr.write(`cannot run bench: no such file: ${JSON.stringify(unknown)}\n`);
  process.exit(2);
}

process.stdout.write(`${cores} cores, Node ${process.version}, ${new Date().toISOString().slice(0, 10)}\n\n`);
for (const [name, load] of Object.entries(benches)) {
  if (named.length > 0 && !named.includes(name)) continue;
  const { run } = await load();
  process.stdout.write(`${markdown(await run())}\n`);
}
