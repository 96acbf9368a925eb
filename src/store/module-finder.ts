/**
 * Reads the stored modules and their versions out of one index, which has all that it takes to find and to count them.
 *
 * A search looks at each key of the index once, however few it finds; a list without a text jumps from module to module.
 */

import type { BrowsePort } from '../core/browse-port.ts';
import { unescapeBang } from '../core/module-path.ts';
import type { ModuleVersion } from '../core/status.ts';
import { compareVersions, parseVersion, type Version } from '../core/version.ts';
import { VERSIONS_SORTED_MAX } from './limits.ts';
import type { Connection } from './schema.ts';

type VersionRow = { key: string; kind: 'info' | 'mod' | 'zip'; size: number };

type Found = { version: Version; escaped: string; zipBytes: number | undefined };

/** As the index says it: else SQLite could not use it. */
const VERSION_FILES = "entry INDEXED BY entry_version WHERE status = 200 AND kind IN ('info', 'mod', 'zip')";

/** Paths and versions in small letters: a key has "!" and a small letter for a capital. */
const PATH_TEXT = "replace(substr(key, 1, instr(key, '/@v/') - 1), '!', '')";
const VERSION_TEXT = "replace(replace(substr(key, 1, length(key) - length(kind) - 1), '/@v/', '@'), '!', '')";

export class ModuleFinder {
  readonly #next;
  readonly #sums;
  readonly #files;
  readonly #used;

  constructor(db: Connection) {
    this.#next = byForm((text) =>
      db
        .prepare<[string, string], string>(
          `SELECT key FROM ${VERSION_FILES} AND key > ? AND instr(${text}, ?) > 0 ORDER BY key LIMIT 1`,
        )
        .pluck(),
    );
    this.#sums = byForm((text) =>
      db.prepare<[number, number, string, string, string], { versions: number; bytes: number }>(
        `SELECT count(DISTINCT substr(key, ?, length(key) - ? - length(kind))) AS versions, total(size) AS bytes
         FROM ${VERSION_FILES} AND key >= ? AND key < ? AND instr(${text}, ?) > 0`,
      ),
    );
    this.#files = byForm((text) =>
      db.prepare<[string, string, string], VersionRow>(
        `SELECT key, kind, size FROM ${VERSION_FILES} AND key >= ? AND key < ? AND instr(${text}, ?) > 0`,
      ),
    );
    this.#used = db
      .prepare<[string, string, string], number>('SELECT max(used_at_ms) FROM entry WHERE key IN (?, ?, ?)')
      .pluck();
  }

  findModules: BrowsePort['findModules'] = ({ text, after, limit }) => {
    const form = formOf(text);
    const modules: { module: string; versions: number; bytes: number }[] = [];
    let from = after === '' ? '' : rangeOf(after).end;
    while (modules.length < limit) {
      const key = this.#next[form].get(from, text);
      if (key === undefined) break;
      const module = key.slice(0, key.indexOf('/@v/'));
      const { begin, end } = rangeOf(module);
      const sums = this.#sums[form].get(begin.length + 1, begin.length + 1, begin, end, text);
      modules.push({ module, ...(sums ?? { versions: 0, bytes: 0 }) });
      from = end;
    }
    return { modules };
  };

  getModuleVersions: BrowsePort['getModuleVersions'] = ({ module, text, from, limit }) => {
    const { begin, end } = rangeOf(module);
    const found = new Map<string, Found>();
    for (const { key, kind, size } of this.#files[formOf(text)].iterate(begin, end, text)) {
      const escaped = key.slice(begin.length, -kind.length - 1);
      const version = parseVersion(unescapeBang(escaped) ?? '');
      if (version === undefined) continue;
      const zipBytes = kind === 'zip' ? size : found.get(escaped)?.zipBytes;
      found.set(escaped, { version, escaped, zipBytes });
      if (found.size >= VERSIONS_SORTED_MAX) break;
    }
    const newest = [...found.values()].sort((a, b) => compareVersions(b.version, a.version));
    const versions = newest.slice(from, from + limit).map((one) => this.#row(begin, one));
    return { versions, count: found.size };
  };

  #row(begin: string, { version, escaped, zipBytes }: Found): ModuleVersion {
    const key = `${begin}${escaped}`;
    return { version, zipBytes, usedAtMs: this.#used.get(`${key}.info`, `${key}.mod`, `${key}.zip`) ?? 0 };
  }
}

/** One statement for each form of a search. */
function byForm<T>(prepare: (text: string) => T): { readonly path: T; readonly version: T } {
  return { path: prepare(PATH_TEXT), version: prepare(VERSION_TEXT) };
}

/** The text names a version too if it has an "@". No path has one. */
function formOf(text: string): 'path' | 'version' {
  return text.includes('@') ? 'version' : 'path';
}

/** Bounds of a module's keys below `/@v/`; the end is none of them. */
function rangeOf(module: string): { readonly begin: string; readonly end: string } {
  return { begin: `${module}/@v/`, end: `${module}/@v0` };
}
