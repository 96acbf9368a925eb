/**
 * Runs the benches and prints their tables: all that are not long, or those named as arguments, or
 * the quick ones (`--quick`), or the long ones (`--long`).
 *
 * A bench is a file beside this one that exports `run(options: BenchOptions): Promise<Table>`; one line below adds it.
 */

import { messageOf } from '../src/core/errors.ts';
import type { BenchOptions } from './support/bench-options.ts';
import { cores } from './support/process-cost.ts';
import { markdown, type Table } from './support/table.ts';

type Bench = {
  readonly file: string;
  /** One of the few that show within two minutes whether something broke. */
  readonly isQuick?: true;
  /** Takes about five minutes or more. */
  readonly isLong?: true;
};

const benches: readonly Bench[] = [
  { file: 'hot', isQuick: true },
  { file: 'login' },
  { file: 'policy' },
  { file: 'store-only', isQuick: true },
  { file: 'cold-herd', isQuick: true },
  { file: 'cold-zip' },
  { file: 'first-byte', isQuick: true },
  { file: 'start' },
  { file: 'corpus-fetch' },
  { file: 'tidy' },
  { file: 'tidy-replay' },
  { file: 'mixed' },
  { file: 'pi' },
  { file: 'checksums' },
  { file: 'poor-line' },
  { file: 'import-export' },
  { file: 'commands' },
  { file: 'eviction' },
  { file: 'large-store', isLong: true },
  { file: 'page' },
  { file: 'bucket' },
  { file: 'git' },
  { file: 'git-large', isLong: true },
  { file: 'idle', isLong: true },
  { file: 'cacheprog', isLong: true },
  { file: 'cache-memory', isLong: true },
  { file: 'cache-equality', isLong: true },
  { file: 'latency', isLong: true },
  { file: 'unseen', isLong: true },
  { file: 'packs', isLong: true },
  { file: 'growth', isLong: true },
  { file: 'soak', isLong: true },
];

const args = process.argv.slice(2);
const unknown = args.find((arg) => !arg.startsWith('--') && !benches.some(({ file }) => file === arg));
if (unknown !== undefined) {
  process.stderr.write(`cannot run bench: no such file: ${JSON.stringify(unknown)}\n`);
  process.exit(2);
}

process.stdout.write(`${cores} cores, Node ${process.version}, ${new Date().toISOString().slice(0, 10)}\n\n`);
for (const { file } of chosen()) {
  const startedMs = performance.now();
  try {
    const { run } = (await import(`./${file}.ts`)) as { run(options: BenchOptions): Promise<Table> };
    process.stdout.write(`${markdown(await run({ isQuick: args.includes('--quick') }))}\n`);
  } catch (error) {
    process.stdout.write(`## ${file}: failed: ${messageOf(error)}\n\n`);
    process.exitCode = 1;
  }
  process.stderr.write(`${file}: ${Math.round((performance.now() - startedMs) / 1000)} s\n`);
}

function chosen(): readonly Bench[] {
  const named = benches.filter(({ file }) => args.includes(file));
  if (named.length > 0) return named;
  if (args.includes('--quick')) return benches.filter(({ isQuick }) => isQuick === true);
  if (args.includes('--long')) return benches.filter(({ isLong }) => isLong === true);
  return benches.filter(({ isLong }) => isLong !== true);
}
