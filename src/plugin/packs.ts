/**
 * Packs of a bucket: what a command will ask for comes in a few objects, and what it adds is written when it has ended. The
 * layout: `pack-index.ts`. A set says nothing of actions that it lacks: they are asked for alone.
 */

import { isCacheId } from '../core/cache-id.ts';
import { soon } from '../core/soon.ts';
import { type PackChunk, type PackIndex, type PackRow, packChunkKey } from '../packs/pack-index.ts';
import type { Found } from '../packs/set-plan.ts';
import type { BucketObjects } from './bucket-objects.ts';
import type { LocalEntry } from './cache-directory.ts';
import { PACK_AHEAD_BYTES_MAX, PACK_LEFT_MAX } from './limits.ts';
import type { LocalCache } from './local-cache.ts';
import { PackIndexes, type SetName } from './pack-indexes.ts';
import { PackSource } from './pack-source.ts';
import { type PackJob, PackWriter } from './pack-writer.ts';
import type { PrefetchSource } from './prefetch.ts';
import { reachOfFile, type ShareCgo } from './shareable.ts';
import type { Signatures } from './signatures.ts';
import { Spool } from './spool.ts';

export type PacksOptions = {
  readonly objects: BucketObjects;
  readonly local: LocalCache;
  readonly shareCgo: ShareCgo;
  /** Smaller outputs stay here. */
  readonly uploadBytesMin: number;
  readonly signatures: Pick<Signatures, 'isTrusted' | 'canSign' | 'sign'>;
  /** Bytes of outputs that are fetched for one command. */
  readonly prefetchBytesMax: number;
};

export class Packs {
  readonly #options: PacksOptions;
  readonly #indexes: PackIndexes;
  readonly #writer: PackWriter;
  readonly #spool: Spool;
  readonly #underWay = new Map<PackJob, Promise<void>>();
  /** Jobs for another time. */
  #left: readonly PackJob[] = [];
  #aheadBytes = 0;

  constructor(options: PacksOptions) {
    const { objects, local } = options;
    this.#options = options;
    this.#indexes = new PackIndexes(objects);
    this.#spool = new Spool(local.ownPath('pack-spool'));
    this.#writer = new PackWriter({
      objects,
      local,
      indexes: this.#indexes,
      find: (actionId) => this.#find(actionId),
      isTrusted: (row) => this.#isTrusted(row),
    });
  }

  /** Of objects that were written. */
  get bytesWritten(): number {
    return this.#writer.bytes;
  }

  /** Whether none is being written. */
  get isIdle(): boolean {
    return this.#underWay.size === 0 && this.#writer.isIdle;
  }

  /**
   * What packs have for a command. Never rejects.
   *
   * @param held actions that are here, as far as that is known already
   * @returns undefined: nothing
   */
  async open(name: SetName, held: readonly string[]): Promise<PrefetchSource | undefined> {
    const { local, objects } = this.#options;
    const { server } = objects;
    const known = new Set(held);
    const isHere = (actionId: string) => known.has(actionId) || local.get(actionId) !== undefined;
    if (!server.isUp()) return undefined;
    try {
      const index = await this.#indexes.read(name);
      server.worked();
      return index && this.#sourceOf(index, isHere);
    } catch (error) {
      server.failed(error);
      return undefined;
    }
  }

  /** Takes what a command has made, while it still runs. */
  put(name: SetName, actionId: string, entry: LocalEntry): void {
    if (!this.#options.objects.server.takesPuts) return;
    const found = this.#foundOf(actionId, entry);
    if (found !== undefined && found !== 'apart') this.#writer.put(name.key, found.entry);
  }

  /** Writes what a command used and the set's last index lacks, behind all else. */
  note(name: SetName, used: readonly string[]): void {
    const isGood = (row: PackRow) => this.#isTrusted(row);
    const isNew = this.#indexes.lacks(name.key, used, isGood).some((id) => this.#find(id) !== undefined);
    if (isNew) this.#write({ key: name.key, project: name.project, used });
  }

  /** Takes over what earlier runs left. */
  takeSpool(): void {
    for (const line of this.#spool.take().flat()) {
      const [key, project, ...used] = line.split(' ');
      if (isCacheId(key) && isCacheId(project)) this.#write({ key, project, used: used.filter(isCacheId) });
    }
  }

  /** Waits for what is to be written, but no longer than `waitMs`, and leaves the rest to the next run. */
  async close(waitMs: number): Promise<void> {
    await soon(Promise.all(this.#underWay.values()), waitMs);
    // The last one of a set knows best.
    const left = new Map([...this.#left, ...this.#underWay.keys()].map((job) => [job.key, job]));
    const lines = Array.from(left.values(), ({ key, project, used }) => [key, project, ...used].join(' '));
    if (lines.length === 0 || this.#spool.add(lines.slice(-PACK_LEFT_MAX))) this.#spool.dropClaimed();
  }

  #write(job: PackJob): void {
    const writing = this.#writer.write(job).then((isDone) => {
      this.#underWay.delete(job);
      if (!isDone) this.#left = [...this.#left, job].slice(-PACK_LEFT_MAX);
    });
    this.#underWay.set(job, writing);
  }

  #sourceOf(index: PackIndex, isHere: (actionId: string) => boolean): PackSource {
    const { objects, prefetchBytesMax: bytesMax } = this.#options;
    const pathOf = ({ sha256 }: PackChunk) => objects.path(packChunkKey(sha256));
    return new PackSource(
      { index, isHere, bytesMax },
      {
        open: (chunk) => objects.open(pathOf(chunk), { isLong: true }),
        hold: (bytes) => {
          const isHeld = this.#aheadBytes + bytes <= PACK_AHEAD_BYTES_MAX;
          if (isHeld) this.#aheadBytes += bytes;
          return isHeld;
        },
        release: (bytes) => {
          this.#aheadBytes -= bytes;
        },
        onWrongChunk: (chunk) => {
          this.#indexes.noteWrongChunk(chunk);
          objects.noteWrong(pathOf(chunk));
        },
        onWrongRow: (row) => {
          this.#indexes.noteWrongRow(row);
          if (row.chunk !== undefined) objects.noteWrong(pathOf(row.chunk));
        },
        onFailure: (error) => objects.server.failed(error),
      },
    );
  }

  /** What this machine can't sign itself stays as it is: it may count for others. */
  #isTrusted(row: PackRow): boolean {
    const { signatures } = this.#options;
    return !signatures.canSign || signatures.isTrusted(row, row.note);
  }

  /** What this machine has of an action that it may share. */
  #find(actionId: string): Found<LocalEntry> | undefined {
    const entry = this.#options.local.getOwn(actionId);
    return entry && this.#foundOf(actionId, entry);
  }

  #foundOf(actionId: string, entry: LocalEntry): Found<LocalEntry> | undefined {
    const { local, uploadBytesMin, shareCgo, signatures } = this.#options;
    if (!local.isKept(entry)) return undefined;
    try {
      const reach = reachOfFile(entry.path);
      if (reach === 'self') return 'apart';
      const isForAll = reach === 'all' || shareCgo === 'on';
      if (!isForAll || entry.size < uploadBytesMin) return undefined;
      return {
        entry,
        // Not all that is looked for is written.
        get note() {
          return signatures.sign({ ...entry, actionId });
        },
      };
    } catch {
      return undefined; // Its file is gone.
    }
  }
}
