/** What is in a stored file of a vulnerability database. */

import { isServeError } from '../core/errors.ts';
import { unpack } from './vuln-gzip.ts';
import { bytesMaxOf, type VulnFile } from './vuln-path.ts';
import type { StoredVulnFile, VulnStore } from './vuln-store.ts';

/** Undefined if it is damaged: then it counts as not stored, and is fetched anew. */
export async function readable<T>(
  { packed }: StoredVulnFile,
  file: VulnFile,
  parse: (text: string) => T,
): Promise<T | undefined> {
  try {
    return parse((await unpack(packed, bytesMaxOf(file))).toString());
  } catch (error) {
    if (isServeError(error)) return undefined;
    throw error;
  }
}

/** The same of a file by its path; undefined if it is not stored either. */
export async function readStored<T>(
  vulns: Pick<VulnStore, 'get'>,
  file: VulnFile,
  parse: (text: string) => T,
): Promise<T | undefined> {
  const stored = await vulns.get(file);
  return stored && (await readable(stored, file, parse));
}
