/**
 * Fetches the reports about modules in the store before a client asks for them: for work offline, and so that the server
 * can say which stored versions are concerned. It goes on while the database answers, and begins anew with each index.
 */

import { type ErrorKind, isServeError, messageOf } from '../core/errors.ts';
import { escapeModulePath } from '../core/module-path.ts';
import type { Store } from '../core/store-port.ts';
import { modulePathOf } from './indexed-module.ts';
import { VULN_FETCHES_AHEAD_MAX, VULN_LOOKUPS_MAX } from './limits.ts';
import type { VulnModule } from './vuln-json.ts';

/** govulncheck asks about Go itself in each project. */
const GO_ITSELF: ReadonlySet<string> = new Set(['stdlib', 'toolchain']);

export type VulnKeeperOptions = {
  readonly store: Pick<Store, 'getVersions'>;
  /** Brings a stored report up to date. */
  readonly keep: (id: string) => Promise<void>;
  /** Called with the reason if the rest must wait for the next index. */
  readonly onStopped: (why: string) => void;
};

export class VulnKeeper {
  readonly #options: VulnKeeperOptions;
  /** Counts the indexes: work for an older one ends. */
  #round = 0;
  #isStopped = false;
  #work: Promise<unknown> = Promise.resolve();

  constructor(options: VulnKeeperOptions) {
    this.#options = options;
  }

  /** Starts with a new index, and ends the work for the one before. Does nothing once it was stopped. */
  start(modules: readonly VulnModule[]): void {
    if (this.#isStopped) return;
    const round = ++this.#round;
    this.#work = this.#work
      .then(() => this.#keepAll(modules, () => this.#round === round))
      .catch((error) => {
        if (!this.#isStopped) this.#options.onStopped(messageOf(error));
      });
  }

  /** Ends the work for good. @returns a promise that resolves when it has ended: nothing is read or written then */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#round++;
    await this.#work;
  }

  /** Resolves when the work so far is done. */
  async settled(): Promise<void> {
    await this.#work;
  }

  async #keepAll(modules: readonly VulnModule[], isWanted: () => boolean): Promise<void> {
    const ids = new Set<string>();
    for (let at = 0; at < modules.length && isWanted(); at += VULN_LOOKUPS_MAX) {
      const some = modules.slice(at, at + VULN_LOOKUPS_MAX);
      const stored = await Promise.all(some.map(({ path }) => this.#isStored(path)));
      for (const [n, { vulns }] of some.entries()) if (stored[n]) for (const { id } of vulns) ids.add(id);
    }
    const rest = ids.values();
    let failed: { readonly error: unknown } | undefined;
    const worker = async () => {
      for (const id of rest) {
        if (failed !== undefined || !isWanted()) return;
        await this.#options.keep(id).catch(orMissing);
      }
    };
    const noting = async () => {
      await worker().catch((error: unknown) => {
        failed ??= { error };
      });
    };
    // All of them end before the work does.
    await Promise.all(Array.from({ length: VULN_FETCHES_AHEAD_MAX }, noting));
    if (failed !== undefined) throw failed.error;
  }

  async #isStored(path: string): Promise<boolean> {
    if (GO_ITSELF.has(path)) return true;
    const module = modulePathOf(path);
    if (module === undefined) return false;
    return (await this.#options.store.getVersions({ module: escapeModulePath(module) })).versions.length > 0;
  }
}

/** One report that the database lacks, or that is none, keeps no other from being fetched. */
function orMissing(error: unknown): void {
  if (!isServeError(error) || !OF_ONE_REPORT.has(error.kind)) throw error;
}

const OF_ONE_REPORT: ReadonlySet<ErrorKind> = new Set(['not-found', 'gone', 'upstream-failed']);
