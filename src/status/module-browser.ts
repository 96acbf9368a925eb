/** The stored modules, page by page, for clients that may read some of them and not others. */

import type { BrowsePort } from '../core/browse-port.ts';
import { Gate } from '../core/gate.ts';
import { escapeModulePath, type ModulePath, unescapeModulePath } from '../core/module-path.ts';
import type { ModuleList, StoredModule, VersionsPage } from '../core/status.ts';
import type { Remote } from '../core/store-port.ts';
import { MODULES_PER_PAGE, SEARCHES_WAITING_MAX, VERSIONS_PER_PAGE } from './limits.ts';

export type ModuleSearch = {
  /** A part of the path, or of `path@version`; empty: all. */
  readonly text: string;
  /** The last module of the page before; undefined: the first page. */
  readonly after: ModulePath | undefined;
};

export class ModuleBrowser {
  readonly #reader: Pick<Remote<BrowsePort>, 'findModules' | 'getModuleVersions'>;
  readonly #gate = new Gate({
    placesMax: 1,
    queueMax: SEARCHES_WAITING_MAX,
    full: 'cannot search: too many searches are waiting',
  });

  constructor(reader: Pick<Remote<BrowsePort>, 'findModules' | 'getModuleVersions'>) {
    this.#reader = reader;
  }

  /**
   * One page of modules. The ones that the client may not read are left out, and no page tells that there are any.
   *
   * @throws {Busy} too many searches are waiting
   */
  modules(search: ModuleSearch, mayName: (module: ModulePath) => boolean): Promise<ModuleList> {
    return this.#gate.run(() => this.#modules(search, mayName));
  }

  /**
   * Versions of a module, from the one with index `from` on.
   *
   * @throws {Busy} too many searches are waiting
   */
  versions({
    module,
    text,
    from,
  }: {
    module: ModulePath;
    text: string;
    from: number;
  }): Promise<VersionsPage> {
    const asked = { module: escapeModulePath(module), text: plainText(text), from, limit: VERSIONS_PER_PAGE };
    return this.#gate.run(() => this.#reader.getModuleVersions(asked));
  }

  async #modules(
    { text, after }: ModuleSearch,
    mayName: (module: ModulePath) => boolean,
  ): Promise<ModuleList> {
    const modules: StoredModule[] = [];
    let behind = after === undefined ? '' : escapeModulePath(after);
    // One more than fits says whether there is another page.
    while (modules.length <= MODULES_PER_PAGE) {
      const limit = MODULES_PER_PAGE + 1;
      const { modules: found } = await this.#reader.findModules({
        text: plainText(text),
        after: behind,
        limit,
      });
      for (const { module, versions, bytes } of found) {
        const path = pathOf(module);
        if (path !== undefined && mayName(path)) modules.push({ path, versions, bytes });
      }
      const last = found.at(-1);
      if (last === undefined || found.length < limit) break;
      behind = last.module;
    }
    const shown = modules.slice(0, MODULES_PER_PAGE);
    return { modules: shown, next: modules.length > shown.length ? shown.at(-1)?.path : undefined };
  }
}

/** As the reader compares it. */
function plainText(text: string): string {
  return text.trim().toLowerCase().replaceAll('!', '');
}

/** Undefined: an import brought a path that no client could ask for. */
function pathOf(escaped: string): ModulePath | undefined {
  try {
    return unescapeModulePath(escaped);
  } catch {
    return undefined;
  }
}
