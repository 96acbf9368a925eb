/**
 * The reads of those who look at a store: its figures, and its modules page by page. They may take as long as the store
 * is large, so a reader of their own makes them.
 */

import type { ModuleVersion } from './status.ts';
import type { StoreStats } from './store-stats.ts';

/** A module that a search found, by its escaped path. */
export type FoundModule = {
  readonly module: string;
  /** Those that the text fits, and the bytes of their files. */
  readonly versions: number;
  readonly bytes: number;
};

export type BrowsePort = {
  /** All figures of `astera stats`. */
  getStats(request: Record<never, never>): StoreStats;
  /**
   * Modules that have a stored `.info`, `.mod` or `.zip`, behind `after` (an escaped path, or empty), in bytewise order of
   * their keys. `text` is a part of the path in small letters; with an `@` in it, a part of `path@version`.
   */
  findModules(request: { text: string; after: string; limit: number }): { modules: FoundModule[] };
  /** Versions of one module (escaped path), the newest first: `limit` of them from the one with index `from` on. */
  getModuleVersions(request: { module: string; text: string; from: number; limit: number }): {
    versions: ModuleVersion[];
    /** Of all that the text fits. */
    count: number;
  };
};
