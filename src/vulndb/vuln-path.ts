/**
 * The files of a Go vulnerability database, and their paths below `/vulndb/`.
 *
 * Follows https://go.dev/doc/security/vuln/database (API). Each file is there as `.json` and packed as `.json.gz`, which
 * govulncheck asks for.
 */

import { VULN_INDEX_BYTES_MAX, VULN_REPORT_BYTES_MAX } from './limits.ts';

/** The database's time of change, all modules with their reports' IDs, and all IDs with their aliases. */
export type IndexFile = 'index/db' | 'index/modules' | 'index/vulns';

/** A file by its path below the database's root, without its ending. */
export type VulnFile = IndexFile | `ID/${string}`;

export type VulnAsk = { readonly file: VulnFile; readonly isPacked: boolean };

/** @returns undefined if `path` is not that of a file below `vulndb/` */
export function parseVulnPath(path: string): VulnAsk | undefined {
  const [, file, packed] = PATH.exec(path) ?? [];
  if (file === undefined) return undefined;
  return { file: file as VulnFile, isPacked: packed !== undefined }; // By the pattern.
}

/** The ID of a report; undefined for an index. */
export function reportIdOf(file: VulnFile): string | undefined {
  return file.startsWith('ID/') ? file.slice(3) : undefined;
}

/** The longest that a file may be, packed or not. */
export function bytesMaxOf(file: VulnFile): number {
  return reportIdOf(file) === undefined ? VULN_INDEX_BYTES_MAX : VULN_REPORT_BYTES_MAX;
}

/**
 * The key of a file in the store. Databases at other places have other keys, as their files must not be mixed.
 *
 * @param place the database's, without a scheme and without a password
 */
export function vulnKey(place: string, file: VulnFile): string {
  return `vulndb/${encodeURIComponent(place)}/${file}.json.gz`;
}

/** IDs of vuln.go.dev are like GO-2024-2687; those of other databases are free in theirs. */
const ID = '[A-Za-z0-9][A-Za-z0-9._-]{0,99}';

const PATH = new RegExp(`^vulndb/(index/(?:db|modules|vulns)|ID/${ID})\\.json(\\.gz)?$`);
