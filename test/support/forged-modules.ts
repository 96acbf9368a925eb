/**
 * Made-up modules of which two are not what the checksum database says, one is private, and one it does not know.
 *
 * What a test makes of them (a store, a download cache, an upstream that lies) is its own.
 */

import { sumLines } from './lying-upstream.ts';
import { type MadeUpModule, madeUpFiles } from './module-zip.ts';
import { type SumdbServer, startSumdbServer } from './sumdb-server.ts';

export function madeUp(name: string, contentBytes = 1000): MadeUpModule {
  return { path: `made-up.example/${name}`, version: 'v1.0.0', contentBytes };
}

/** The key of one of its files: `info`, `mod`, `zip`, `ziphash`. */
export function fileOf({ path, version }: MadeUpModule, kind: string): string {
  return `${path}/@v/${version}.${kind}`;
}

export const forgedZip = madeUp('forged-zip', 300_000);
export const forgedMod = madeUp('forged-mod');
/** To be named to nobody. */
export const hidden = madeUp('hidden');
export const strange = madeUp('strange');

/** What stands in the place of the two. */
export const falseZip = madeUpFiles({ ...forgedZip, contentBytes: 300_001 }).zip;
export const falseMod = Buffer.from(`module ${forgedMod.path}\n\ngo 1.22\n`);

/** The four, and those that are all right. */
export function withHonest(honest: readonly MadeUpModule[]): MadeUpModule[] {
  return [forgedZip, forgedMod, hidden, strange, ...honest];
}

/** A checksum database that has the true sums of all of them but the strange one's. */
export async function startDatabaseOf(modules: readonly MadeUpModule[]): Promise<SumdbServer> {
  const database = await startSumdbServer({ records: 300 });
  const known = modules.filter((one) => one !== strange);
  await database.ask({ Cmd: 'add', Texts: await Promise.all(known.map(sumLines)) });
  return database;
}
