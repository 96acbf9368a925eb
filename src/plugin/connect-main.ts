/**
 * The entry of `dist/connect-main.cjs`, which `bin/astera` runs for `connect`: the few kB that a build with a server needs. All else
 * is in `dist/cacheprog-main.cjs` and `dist/alone.cjs` beside it.
 */

import type { Alone, AloneDoors } from './alone.ts';
import { runConnect } from './connect.ts';
import { parsePluginAddress } from './plugin-address.ts';
import { nameOwnSession } from './session-name.ts';

const [command, server, ...more] = process.argv.slice(2);
const address = more.length > 0 || command !== 'connect' || hasSettings() ? undefined : parse(server);
if (address === undefined) beside('./cacheprog-main.cjs');
else runConnect(address, { openAlone, name: () => nameOwnSession(process.env) }).catch(fail);

/** They must be checked at once, by the whole program. */
function hasSettings(): boolean {
  return Object.keys(process.env).some((name) => /^(?:ASTERA|GOCACHE)_./.test(name));
}

/** Undefined: the whole program says what is wrong with it. */
function parse(text = '') {
  try {
    return parsePluginAddress(text);
  } catch {
    return undefined;
  }
}

function openAlone(doors: AloneDoors): Alone {
  return (beside('./alone.cjs') as typeof import('./alone.ts')).openAlone(doors);
}

function beside(file: string): unknown {
  return process.getBuiltinModule('node:module').createRequire(import.meta.url)(file);
}

function fail(error: unknown): void {
  process.stderr.write(`astera connect: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
}
