/**
 * A client that always wants what nobody has asked for before: one made-up module after another, at a
 * steady pace. When the upstream is back, it asks again for the files that it did not get.
 */

import { setTimeout as delay } from 'node:timers/promises';
import { RawConnection } from './raw-connection.ts';

/** Below it an upstream's `endless` modules are. */
export const FRESH_PREFIX = 'fresh.example/';

/** Between two modules. */
const PACE_MS = 100;

/** Longer than any upstream counts as down. */
const BACK_MS = 130_000;

const FILES = ['info', 'mod', 'zip'];

export type Fresh = {
  /** Files asked for the first time. */
  readonly asked: number;
  /** Of these, those that could not be had at once. */
  readonly refused: number;
  /** Of those, the ones that could not be had later either. */
  readonly lost: number;
};

/** Asks until `untilMs` of `performance.now()`, then once more for each refused file. `name` keeps lanes apart. */
export async function freshLane(url: string, name: string, untilMs: number): Promise<Fresh> {
  const refused: string[] = [];
  let asked = 0;
  for (let nth = 0; performance.now() < untilMs; nth++) {
    const version = `${FRESH_PREFIX}${name}/m${nth}/@v/v1.0.0`;
    for (const kind of FILES) {
      asked++;
      if (!(await isGiven(url, `${version}.${kind}`))) refused.push(`${version}.${kind}`);
    }
    await delay(PACE_MS);
  }
  let lost = 0;
  for (const path of refused) if (!(await isGiven(url, path))) lost++;
  return { asked, refused: refused.length, lost };
}

/**
 * Asks until all of it comes, as a person would: an upstream that was gone counts as down for a while.
 *
 * @returns seconds it took
 * @throws if it does not come within `BACK_MS`
 */
export async function insist(url: string, path: string): Promise<number> {
  const startedMs = performance.now();
  while (!(await isGiven(url, path))) {
    if (performance.now() - startedMs > BACK_MS) throw new Error(`${path} did not come in ${BACK_MS} ms`);
    await delay(PACE_MS);
  }
  return (performance.now() - startedMs) / 1000;
}

/** Whether all of it comes, on a connection of its own. */
export async function isGiven(url: string, path: string): Promise<boolean> {
  const connection = new RawConnection(url);
  try {
    return (await connection.get(path)).isOk;
  } catch {
    return false;
  } finally {
    connection.close();
  }
}
