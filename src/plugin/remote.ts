/** The place behind the local directory that machines share: a server (`remote-cache.ts`), or a bucket. */

import type { LocalEntry } from './cache-directory.ts';
import type { LocalCache } from './local-cache.ts';

/** An entry, and the action that has it. */
export type NamedEntry = { readonly actionId: string; readonly entry: LocalEntry };

/** How an upload ended. `later`: it should be tried again at another time; `refused`: never, as this entry is at fault. */
export type UploadEnd = 'stored' | 'later' | 'refused';

/** What sessions and uploads need of it. */
export type Remote = {
  /** That were sent so far. */
  readonly requests: number;
  /** Of a bucket: objects that were not what they should be. */
  readonly wrong?: number;
  /** Whether uploads make sense now. */
  readonly takesPuts: boolean;
  /** Fetches an action's output into the local directory. Never rejects: a failure is a miss. */
  get(actionId: string, local: LocalCache): Promise<LocalEntry | undefined>;
  /** Whether an entry goes to hosts like this one alone. `put` keeps it apart, under an ID of the host's: `host-bound.ts`. */
  isHostBound(entry: LocalEntry): boolean;
  /** Uploads an entry. Never rejects. */
  put(actionId: string, entry: LocalEntry): Promise<UploadEnd>;
  /**
   * Uploads several small entries, none of them host-bound. Never rejects. Absent where there is no such request.
   *
   * @returns for each how it ended; undefined: it takes one at a time only
   */
  putMany?(puts: readonly NamedEntry[]): Promise<readonly UploadEnd[] | undefined>;
  close(): void;
};
