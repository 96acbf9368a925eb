/** `astera stats --vulns`: the stored module versions that reports of vulnerabilities concern. */

import { connectControl } from '../control/control-client.ts';
import { controlPath } from '../control/control-path.ts';
import { messageOf } from '../core/errors.ts';
import { printable, printableJson } from '../core/printable.ts';
import type { Store } from '../core/store-port.ts';
import { UsageError } from '../core/usage-error.ts';
import { placeOfDatabase } from '../settings/vulndb-url.ts';
import { lookAtStore } from '../store/look.ts';
import { StoreReader } from '../store/reader.ts';
import { type Concerned, findConcerned } from '../vulndb/concerned.ts';
import type { VulnFile } from '../vulndb/vuln-path.ts';
import { readVulnFile } from '../vulndb/vuln-store.ts';
import { formatTable } from './table.ts';

/**
 * Prints them, beside a running server too.
 *
 * @param options `vulndb`: the database's URL, as `serve` has it
 * @throws {StoreFailed} the store can't be read
 */
export async function statsVulns(options: {
  readonly dbPath: string;
  readonly vulndb: string;
  readonly asJson: boolean;
}): Promise<void> {
  const { dbPath, vulndb, asJson } = options;
  const place = placeOfDatabase(vulndb);
  if (place === undefined) throw new UsageError('no vulnerability database: --vulndb is off');
  lookAtStore(dbPath, { mayBeNew: false });
  await refreshByServer(dbPath);
  const reader = new StoreReader(dbPath);
  try {
    const store = readsOf(reader);
    const get = (file: VulnFile) => readVulnFile(store, place, file);
    const found = await findConcerned({ vulns: { get }, store });
    process.stdout.write(
      `${asJson ? printableJson(JSON.stringify(found, null, 2)) : describe(found, place)}\n`,
    );
  } finally {
    reader.close();
  }
}

/** A running server asks the database for news first. Where it can't, what is stored counts. */
async function refreshByServer(dbPath: string): Promise<void> {
  try {
    const server = await connectControl(controlPath(dbPath));
    await server?.refreshVulns({}).finally(() => server.close());
  } catch (error) {
    process.stderr.write(`astera: as of the last news: ${printable(messageOf(error))}\n`);
  }
}

function describe({ modified, rows }: Concerned, place: string): string {
  if (modified === undefined) {
    return `nothing of ${place} is stored yet: run this beside a server that reaches it`;
  }
  const when = `by ${place}, changed ${modified}`;
  if (rows.length === 0) return `no stored version is concerned, ${when}`;
  const table = formatTable([
    ['module', 'version', 'report', 'fixed in', 'summary'],
    ...rows.map(({ module, version, id, fixed, summary }) => [module, version, id, fixed ?? '', summary]),
  ]);
  const versions = new Set(rows.map(({ module, version }) => `${module}@${version}`)).size;
  return `${table}\n\n${versions} stored versions are concerned, ${when}`;
}

/** The reads of this thread, as those of another. */
function readsOf(reader: StoreReader): Pick<Store, 'getEntry' | 'getChunk' | 'getVersions' | 'getStored'> {
  return {
    getEntry: async (request) => reader.getEntry(request),
    getChunk: async (request) => reader.getChunk(request),
    getVersions: async (request) => reader.getVersions(request),
    getStored: async (request) => reader.getStored(request),
  };
}
