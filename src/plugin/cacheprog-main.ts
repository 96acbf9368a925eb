/**
 * The entry of `dist/cacheprog.mjs`, one file without packages, for any Node from 20 on, and of `dist/cacheprog-main.cjs`, the same
 * for `bin/astera`: Node starts it 3 ms sooner. It reads its environment itself, as nothing else is there to.
 */

import { UsageError } from '../core/usage-error.ts';
import { runPluginCommand } from './plugin-commands.ts';

const args = process.argv.slice(2);
// Without a top-level await, which CommonJS has not.
runPluginCommand(args, process.env).catch((error: unknown) => {
  const name = args[0] === 'connect' ? 'connect' : 'cacheprog';
  process.stderr.write(`astera ${name}: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(error instanceof UsageError ? 2 : 1);
});
