/** The entry of `dist/cacheprog.mjs`, one file without packages: `bin/astera cacheprog` runs it, on any Node from 20 on. */

import { UsageError } from '../core/usage-error.ts';
import { readArgs } from './options.ts';
import { runPlugin } from './run-plugin.ts';

try {
  await runPlugin(readArgs(process.argv.slice(2)));
} catch (error) {
  process.stderr.write(`astera cacheprog: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(error instanceof UsageError ? 2 : 1);
}
