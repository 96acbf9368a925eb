/**
 * Fetches the files of a vulnerability database, checks them, and gives them packed. A database may have its files packed,
 * plain, or both: vuln.go.dev has both, a directory of vulndb's tools only plain ones.
 */

import { isServeError } from '../core/errors.ts';
import type { Upstream } from '../core/ports.ts';
import { isPacked, pack, unpack } from './vuln-gzip.ts';
import { checkVulns, parseDb, parseModules, parseReport } from './vuln-json.ts';
import { bytesMaxOf, reportIdOf, type VulnFile } from './vuln-path.ts';

/** A checked file. */
export type FetchedVulnFile = { readonly packed: Uint8Array; readonly text: string };

export class VulnRemote {
  readonly #upstream: Upstream;

  constructor(upstream: Upstream) {
    this.#upstream = upstream;
  }

  get isDown(): boolean {
    return this.#upstream.isDown;
  }

  /**
   * @param via the client's, passed on so that loops are seen
   * @throws all errors of an Upstream; UpstreamFailed for a file of another form
   */
  async fetch(file: VulnFile, via?: string): Promise<FetchedVulnFile> {
    const bytesMax = bytesMaxOf(file);
    const bytes = await this.#either(file, { bytesMax, ...(via !== undefined && { via }) });
    const plain = isPacked(bytes) ? await unpack(bytes, bytesMax) : Buffer.from(bytes);
    const text = plain.toString();
    check(file, text);
    return { packed: isPacked(bytes) ? bytes : await pack(plain), text };
  }

  /** @throws {Loop} a request with this `Via` has been at the database before */
  async refuseLoop(file: VulnFile, via: string): Promise<void> {
    try {
      await this.#upstream.head({ path: `${file}.json.gz`, bytesMax: bytesMaxOf(file), via });
    } catch (error) {
      if (isServeError(error) && error.kind === 'loop') throw error;
    }
  }

  async #either(
    file: VulnFile,
    how: { readonly bytesMax: number; readonly via?: string },
  ): Promise<Uint8Array> {
    try {
      return (await this.#upstream.whole({ path: `${file}.json.gz`, ...how })).bytes;
    } catch (error) {
      if (!isServeError(error) || (error.kind !== 'not-found' && error.kind !== 'gone')) throw error;
      return (await this.#upstream.whole({ path: `${file}.json`, ...how })).bytes;
    }
  }
}

function check(file: VulnFile, text: string): void {
  const id = reportIdOf(file);
  if (id !== undefined) parseReport(text, id);
  else if (file === 'index/db') parseDb(text);
  else if (file === 'index/modules') parseModules(text);
  else checkVulns(text);
}
