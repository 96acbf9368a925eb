/** V8's collector, for the few places that know of garbage which V8 cannot weigh. */

import { v8, vm } from './node-modules.ts';

/** Collects the young objects of its thread, or all of them. */
export type Collect = (options: { readonly type: 'minor' | 'major' }) => void;

/**
 * Finds the collector, in about a millisecond.
 *
 * V8 shows it only to contexts that are made under a flag. The flag is taken away at once: while any flag differs from the
 * start's, threads that start compile all of Node's own code, which costs each of them 30 ms.
 *
 * @throws {Error} V8 does not show it
 */
export function findCollector(): Collect {
  const { setFlagsFromString } = v8();
  const { runInNewContext } = vm();
  for (let tries = 0; tries < TRIES; tries++) {
    setFlagsFromString('--expose-gc');
    const found: Collect | undefined = runInNewContext('globalThis.gc');
    setFlagsFromString('--no-expose-gc');
    if (found !== undefined) return found;
  }
  throw new Error(`cannot find V8's collector: not shown in ${TRIES} tries`);
}

/** Flags are the process's: another thread that looks at the same time may take the flag away. */
const TRIES = 1000;
