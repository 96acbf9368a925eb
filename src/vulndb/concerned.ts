/** The stored versions of modules that reports of a vulnerability database concern. It reads the store alone. */

import { KEYS_PER_CALL_MAX } from '../core/limits.ts';
import { escapeModulePath, type ModulePath } from '../core/module-path.ts';
import { resourceKey } from '../core/resource.ts';
import type { Store } from '../core/store-port.ts';
import { compareVersions, parseVersion, unescapeVersion, type Version } from '../core/version.ts';
import { affects } from './affects.ts';
import { modulePathOf } from './indexed-module.ts';
import { VULN_LOOKUPS_MAX, VULN_ROWS_MAX } from './limits.ts';
import { readStored } from './stored-vuln-file.ts';
import { parseDb, parseModules, parseReport, type VulnModule, type VulnReport } from './vuln-json.ts';
import type { VulnStore } from './vuln-store.ts';

/** A stored version, and a report that concerns it. */
export type ConcernedVersion = {
  readonly module: ModulePath;
  readonly version: Version;
  readonly id: string;
  /** One line; empty if the report has none, or is not stored yet: then the index alone says that it concerns it. */
  readonly summary: string;
  /** The newest version with a fix; undefined: there is none. */
  readonly fixed: Version | undefined;
};

export type Concerned = {
  /** The database's last change, RFC 3339; undefined: no database is stored. */
  readonly modified: string | undefined;
  /** By module, version and ID; VULN_ROWS_MAX at most. */
  readonly rows: readonly ConcernedVersion[];
};

export type ConcernedParts = {
  readonly vulns: Pick<VulnStore, 'get'>;
  readonly store: Pick<Store, 'getVersions' | 'getStored'>;
};

/** @throws {StoreFailed} the store can't be read */
export async function findConcerned({ vulns, store }: ConcernedParts): Promise<Concerned> {
  const modified = await readStored(vulns, 'index/db', parseDb);
  const modules = (await readStored(vulns, 'index/modules', parseModules)) ?? [];
  const rows: ConcernedVersion[] = [];
  for (let at = 0; at < modules.length && rows.length < VULN_ROWS_MAX; at += VULN_LOOKUPS_MAX) {
    const some = modules.slice(at, at + VULN_LOOKUPS_MAX);
    for (const found of await Promise.all(some.map((one) => rowsOf(one, { vulns, store }))))
      rows.push(...found);
  }
  return { modified, rows: rows.slice(0, VULN_ROWS_MAX) };
}

async function rowsOf(
  { path, vulns: indexed }: VulnModule,
  parts: ConcernedParts,
): Promise<ConcernedVersion[]> {
  const module = modulePathOf(path);
  const versions = module === undefined ? [] : await zipVersions(module, parts.store);
  if (module === undefined || versions.length === 0) return [];
  const rows: ConcernedVersion[] = [];
  for (const { id, fixed: text } of indexed) {
    const fixed = text === undefined ? undefined : parseVersion(`v${text}`);
    const report = await readStored(parts.vulns, `ID/${id}`, (body) => parseReport(body, id));
    const isConcerned = (version: Version) => concerns({ report, fixed }, module, version);
    for (const version of versions.filter(isConcerned)) {
      rows.push({ module, version, id, summary: report?.summary ?? '', fixed });
    }
  }
  return rows.toSorted((a, b) => compareVersions(a.version, b.version) || (a.id < b.id ? -1 : 1));
}

type Known = { readonly report: VulnReport | undefined; readonly fixed: Version | undefined };

function concerns({ report, fixed }: Known, module: ModulePath, version: Version): boolean {
  if (report !== undefined) return affects(report, module, version);
  return fixed === undefined || compareVersions(version, fixed) < 0;
}

/** The versions whose zip is stored: others were only looked at, for the versions that they need. */
async function zipVersions(module: ModulePath, store: ConcernedParts['store']): Promise<Version[]> {
  const { versions } = await store.getVersions({ module: escapeModulePath(module) });
  const canonical = versions
    .map(({ version }) => unescapeVersion(version))
    .flatMap((one) => (one.kind === 'version' ? [one.version] : []));
  const keys = canonical.map((version) => resourceKey({ kind: 'zip', module, version }));
  const stored: boolean[] = [];
  for (let at = 0; at < keys.length; at += KEYS_PER_CALL_MAX) {
    stored.push(...(await store.getStored({ keys: keys.slice(at, at + KEYS_PER_CALL_MAX) })).stored);
  }
  return canonical.filter((_, n) => stored[n]);
}
