/**
 * One look at the server, out of what others count. Looks within a second share one, so that open pages cost nothing
 * but their answers; without anybody who looks nothing is done.
 */

import type { ModulePath } from '../core/module-path.ts';
import type { Clock } from '../core/ports.ts';
import type {
  Downloading,
  DownloadState,
  GitCopies,
  Minute,
  ServerFacts,
  Status,
  StoreFigures,
  Totals,
  UpstreamState,
} from '../core/status.ts';
import { DOWNLOADS_SHOWN_MAX, LOOK_MS } from './limits.ts';

/** A download, with its module as it was checked. */
export type NamedDownload = Omit<DownloadState, 'module'> & { readonly module: ModulePath };

/** The places that know the figures. Each is asked at most once a second. */
export type StatusParts = {
  readonly facts: ServerFacts;
  readonly clock: Clock;
  readonly counted: () => Promise<{ readonly total: Totals; readonly hour: readonly Minute[] }>;
  readonly open: () => Status['open'];
  /** The oldest first. */
  readonly downloads: () => readonly NamedDownload[];
  readonly upstreams: () => readonly UpstreamState[];
  /** Undefined: the store can't be counted. `writes`: how many there were so far. */
  readonly store: (writes: number) => Promise<StoreFigures | undefined>;
  readonly git: () => GitCopies | undefined;
  readonly bucket: () => Status['bucket'];
};

type Look = Omit<Status, 'downloads' | 'atMs'>;

export class StatusBoard {
  readonly #parts: StatusParts;
  #look: Promise<Look> | undefined;
  #lookedMs = Number.NEGATIVE_INFINITY;

  constructor(parts: StatusParts) {
    this.#parts = parts;
  }

  /** @param mayName the modules that the client may be told of */
  async status(mayName: (module: ModulePath) => boolean): Promise<Status> {
    const look = await this.#shared();
    return { atMs: this.#parts.clock.wallMs(), ...look, downloads: this.#downloads(mayName) };
  }

  #shared(): Promise<Look> {
    const nowMs = this.#parts.clock.monotonicMs();
    if (this.#look !== undefined && nowMs - this.#lookedMs < LOOK_MS) return this.#look;
    this.#lookedMs = nowMs;
    this.#look = this.#take();
    this.#look.catch(() => {
      this.#look = undefined;
    });
    return this.#look;
  }

  async #take(): Promise<Look> {
    const { facts, counted, open, upstreams, store, git, bucket } = this.#parts;
    const { total, hour } = await counted();
    const figures = await store(total.storeWrites);
    const { requests, connections } = open();
    // This very look is one of them.
    const others = { requests: Math.max(0, requests - 1), connections };
    return {
      server: facts,
      open: others,
      hour,
      total,
      upstreams: upstreams(),
      store: figures,
      git: git(),
      bucket: bucket(),
    };
  }

  /** Not shared: whoever may not read a module does not hear of it. */
  #downloads(mayName: (module: ModulePath) => boolean): Downloading {
    const all = this.#parts.downloads();
    const shown = all.filter(({ module }) => mayName(module)).slice(0, DOWNLOADS_SHOWN_MAX);
    return { shown, more: all.length - shown.length };
  }
}
