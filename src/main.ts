/**
 * The entry: checks the Node it runs on and turns the compile cache on, before anything that
 * would fail on another Node, or gain from the cache, is loaded. The commands: `command-line.ts`.
 */

import { enableCompileCache } from 'node:module';
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { setFlagsFromString } from 'node:v8';

/** The one that uWebSockets.js has its binaries for. */
const NODE_MAJOR = '22';

// That of bin/astera has done its work for this thread. While a flag is set, V8 takes no compiled code that Node brings with
// it: each thread that starts would compile all it uses of Node itself, 30 ms.
setFlagsFromString('--max-semi-space-size=0');

if (process.versions.node.split('.')[0] === NODE_MAJOR) {
  const directory = cacheDirectory();
  // Where the directory cannot be written nothing is cached, and nothing said.
  if (directory !== undefined) enableCompileCache(directory);
  const { runCommandLine } = await import('./command-line.ts');
  await runCommandLine(process.argv.slice(2));
} else {
  process.stderr.write(
    `astera: needs Node ${NODE_MAJOR}, found ${process.version} (${process.execPath}): start it by bin/astera after 'npm ci'\n`,
  );
  process.exitCode = 1;
}

/** Undefined for a user without a home: HOME is not set, and nobody has entered the user into the system's list. */
function cacheDirectory(): string | undefined {
  try {
    const home = homedir();
    const below = process.platform === 'darwin' ? 'Library/Caches' : '.cache';
    return isAbsolute(home) ? join(home, below, 'astera') : undefined;
  } catch {
    return undefined;
  }
}
