/**
 * Asks a checksum database through `/sumdb/` of the upstream list, or at its own host if the list does not proxy it.
 * The `go` command does the same (cmd/go/internal/modfetch/sumdb.go).
 *
 * There is one difference. The path of a lookup names the module. If no upstream may hear of the module, the lookup
 * goes to the host alone.
 */

import { CheckFailed, isServeError } from '../core/errors.ts';
import { matchPrefixPatterns } from '../core/glob.ts';
import { SUMDB_ANSWER_BYTES_MAX } from '../core/limits.ts';
import type { Clock, Upstream } from '../core/ports.ts';
import { lookupPath, type ModuleVersion } from './verifier.ts';

/** After this time the list is asked again whether it proxies the database. */
const SUPPORT_KEPT_MS = 600_000;

/** A near file that is wrong is no accident: so long none is asked for. */
const NEAR_DOUBTED_MS = 600_000;

/** The database's files at a place that other nodes write to. Fails with any ServeError. */
export type NearFiles = { whole(path: string): Promise<Uint8Array> };

const PROOF = { bytesMax: SUMDB_ANSWER_BYTES_MAX, isProof: true } as const;

export class SumdbRemote {
  readonly #name: string;
  readonly #list: Upstream;
  readonly #host: Upstream;
  readonly #noProxyPatterns: string;
  readonly #clock: Clock;
  readonly #near: NearFiles | undefined;
  /** Until then the near files are not asked. */
  #doubtedUntilMs = 0;
  #support: { readonly inList: Promise<boolean>; readonly untilMs: number } | undefined;

  /** @param options `noProxyPatterns`: patterns of modules that neither the list nor near files may hear of */
  constructor(options: {
    name: string;
    list: Upstream;
    host: Upstream;
    noProxyPatterns: string;
    clock: Clock;
    near?: NearFiles | undefined;
  }) {
    this.#name = options.name;
    this.#list = options.list;
    this.#host = options.host;
    this.#noProxyPatterns = options.noProxyPatterns;
    this.#clock = options.clock;
    this.#near = options.near;
  }

  /** Fetches the answer to a lookup. Throws as {@link whole}. */
  async lookup(asked: ModuleVersion, via?: string): Promise<Uint8Array> {
    const path = lookupPath(asked);
    if (this.mayTellList(asked)) return this.whole(path, via);
    return (await this.#host.whole({ path, ...PROOF, ...(via !== undefined && { via }) })).bytes;
  }

  /** Whether the upstream list may hear of a module. */
  mayTellList({ module }: Pick<ModuleVersion, 'module'>): boolean {
    return !matchPrefixPatterns(this.#noProxyPatterns, module);
  }

  /**
   * Fetches `path`, such as `tile/…` or `latest`, below the database's root.
   *
   * @param via the client's `Via`, passed on so that loops are seen
   * @throws all errors of an Upstream
   */
  async whole(path: string, via?: string): Promise<Uint8Array> {
    if (path !== 'latest') return (await this.#tryNear(path)) ?? this.#outside(path, via);
    try {
      return await this.#outside(path, via);
    } catch (error) {
      // Near files may be old, so they come first only where they never change.
      const near =
        isServeError(error) && error.kind === 'upstream-down' ? await this.#tryNear(path) : undefined;
      if (near === undefined) throw error;
      return near;
    }
  }

  /** Does `work`, and if a check fails in which near files had a part, once more without them. */
  async orFromOutside<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      const isTheirs = this.#near !== undefined && !this.#isDoubted;
      if (!(error instanceof CheckFailed) || !isTheirs) throw error;
      this.#doubtedUntilMs = this.#clock.monotonicMs() + NEAR_DOUBTED_MS;
      return work();
    }
  }

  get #isDoubted(): boolean {
    return this.#clock.monotonicMs() < this.#doubtedUntilMs;
  }

  async #tryNear(path: string): Promise<Uint8Array | undefined> {
    if (this.#near === undefined || this.#isDoubted) return undefined;
    try {
      return await this.#near.whole(path);
    } catch (error) {
      if (isServeError(error)) return undefined;
      throw error;
    }
  }

  async #outside(path: string, via?: string): Promise<Uint8Array> {
    const request = { ...PROOF, ...(via !== undefined && { via }) };
    const { bytes } = (await this.#isInList())
      ? await this.#list.whole({ path: `sumdb/${this.#name}/${path}`, ...request })
      : await this.#host.whole({ path, ...request });
    return bytes;
  }

  /**
   * Another Astera asks for a file that is being fetched. If it is our upstream, each would wait for the other. So a
   * HEAD asks the list whether the request has been there before.
   *
   * The HEAD has the same path as the request. An Astera answers `supported` itself, so a HEAD of that would not go
   * round a circle of three.
   *
   * @param path below the list's root, such as `sumdb/NAME/latest`
   * @throws {Loop} the request has been there before
   */
  async refuseLoop(path: string, via: string): Promise<void> {
    try {
      if (!(await this.#isInList())) return;
      await this.#list.head({ path, ...PROOF, via });
    } catch (error) {
      if (isServeError(error) && error.kind === 'loop') throw error;
    }
  }

  #isInList(): Promise<boolean> {
    const nowMs = this.#clock.monotonicMs();
    if (this.#support !== undefined && this.#support.untilMs > nowMs) return this.#support.inList;
    const inList = this.#probe();
    this.#support = { inList, untilMs: nowMs + SUPPORT_KEPT_MS };
    inList.catch(() => {
      this.#support = undefined;
    });
    return inList;
  }

  async #probe(): Promise<boolean> {
    try {
      const path = `sumdb/${this.#name}/supported`;
      await this.#list.whole({ path, ...PROOF });
      return true;
    } catch (error) {
      if (isServeError(error) && (error.kind === 'not-found' || error.kind === 'gone')) return false;
      throw error;
    }
  }
}
