/**
 * The build cache's local directory, and a spare one that stands in while it can't be written: a put needs a place.
 *
 * A directory's layout: `cache-directory.ts`. One output on its way in: `local-put.ts`.
 */

import { readFileSync, rmSync } from 'node:fs';
import { sep } from 'node:path';
import { crypto } from '../core/node-modules.ts';
import { CacheDirectory, type LocalEntry, type OutputName } from './cache-directory.ts';
import { DeltaBase } from './delta-base.ts';
import { PLUGIN_SPARE_MS, PLUGIN_UNWRITTEN_MAX } from './limits.ts';
import { LocalPut } from './local-put.ts';
import { openSpareDirectory } from './spare-directory.ts';
import { type TrimBounds, trimIfDue } from './trim.ts';

export type LocalCacheOptions = {
  readonly directory: string;
  readonly namespace: string;
  readonly now: () => number;
  /** One line for the user. */
  readonly warn: (line: string) => void;
};

export class LocalCache {
  readonly #own: CacheDirectory;
  readonly #namespace: string;
  readonly #now: () => number;
  readonly #warn: (line: string) => void;
  #spare: CacheDirectory | undefined;
  /** The directory itself is tried again then. */
  #spareUntilMs = 0;
  /** Of outputs that are there, and whose action could not be written. */
  readonly #unwritten = new Map<string, LocalEntry>();

  constructor({ directory, namespace, now, warn }: LocalCacheOptions) {
    this.#own = new CacheDirectory({ path: directory, namespace, now });
    this.#namespace = namespace;
    this.#now = now;
    this.#warn = warn;
  }

  /** What an action gave, as long as its output is there. Notes the use. */
  get(actionId: string): LocalEntry | undefined {
    return this.#own.get(actionId) ?? this.#spare?.get(actionId) ?? this.#unwritten.get(actionId);
  }

  /** Starts an output whose bytes come in pieces. */
  beginPut(output: OutputName): LocalPut {
    return new LocalPut(output, {
      home: () => this.#home(),
      spare: (error) => this.#openSpare(error),
      keep: (actionId, entry) => {
        if (this.#unwritten.size < PLUGIN_UNWRITTEN_MAX) this.#unwritten.set(actionId, entry);
      },
      now: this.#now,
    });
  }

  /** Opens an output of the directory itself. @throws {Error} it is not there */
  openBase(outputId: string): DeltaBase {
    return new DeltaBase(this.outputPath(outputId), outputId);
  }

  /** Where an output of the directory itself lies, if it is there. */
  outputPath(outputId: string): string {
    return this.#own.outputPath(outputId);
  }

  /** What is to be uploaded: an entry of its own namespace in the directory itself. */
  getOwn(actionId: string): LocalEntry | undefined {
    return this.#own.getOwn(actionId);
  }

  /** Removes an output whose bytes are not those that its name says: the next build makes it again. */
  dropIfDamaged({ path, outputId }: Pick<LocalEntry, 'path' | 'outputId'>): void {
    try {
      const sha256 = crypto().createHash('sha256').update(readFileSync(path)).digest('hex');
      if (sha256 !== outputId) rmSync(path);
    } catch {
      // It is gone already, or can't be removed: then its reader finds out.
    }
  }

  /** Where a file of the directory itself lies that is this namespace's alone, such as the spool. */
  ownPath(name: string): string {
    return this.#own.ownPath(name);
  }

  /** Whether an entry lies in the directory itself. */
  isKept(entry: LocalEntry): boolean {
    return entry.path.startsWith(`${this.#own.path}${sep}`);
  }

  /** Trims the directory, and the spare one where it was used. Never rejects. */
  async trim(bounds: TrimBounds): Promise<void> {
    await trimIfDue(this.#own.path, bounds, this.#now());
    if (this.#spare !== undefined) await trimIfDue(this.#spare.path, bounds, this.#now());
  }

  #home(): CacheDirectory {
    return this.#spare !== undefined && this.#now() < this.#spareUntilMs ? this.#spare : this.#own;
  }

  /** @throws {Error} where not even the system's temporary directory can be written */
  #openSpare(error: unknown): CacheDirectory {
    if (this.#spare === undefined) {
      this.#spare = new CacheDirectory({
        path: openSpareDirectory(),
        namespace: this.#namespace,
        now: this.#now,
      });
      const why = error instanceof Error ? error.message : String(error);
      this.#warn(`cannot write to ${this.#own.path}: new results are kept in ${this.#spare.path}: ${why}`);
    }
    this.#spareUntilMs = this.#now() + PLUGIN_SPARE_MS;
    return this.#spare;
  }
}
