/**
 * The entry of `dist/cacheprog.mjs`, one file without packages: `bin/astera` runs it for `cacheprog`, `connect` and
 * go-cache-plugin's own flags, on any Node from 20 on. It reads its environment itself, as nothing else is there to.
 */

import { UsageError } from '../core/usage-error.ts';
import { runPluginCommand } from './plugin-commands.ts';

const args = process.argv.slice(2);
try {
  await runPluginCommand(args, process.env);
} catch (error) {
  const name = args[0] === 'connect' ? 'connect' : 'cacheprog';
  process.stderr.write(`astera ${name}: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(error instanceof UsageError ? 2 : 1);
}
