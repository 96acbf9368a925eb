/** The store as the services see it: readers, writer and the counter of blob ids, joined. */

import { StoreFailed } from '../core/errors.ts';
import type { Store } from '../core/store-port.ts';
import { DiskWatch, type DiskWatchOptions } from './disk-watch.ts';
import { ReaderPool, type ReaderPoolOptions } from './reader-pool.ts';
import { SizeBound } from './size-bound.ts';
import { WriterQueue, type WriterQueueOptions } from './writer-queue.ts';

export type ThreadStore = Store & {
  /** How far it may grow. */
  readonly bound: SizeBound;
  /** The store's own name. */
  readonly instance: string;
  /** Ids of its threads that run now. */
  threadIds(): { readonly reader: number[]; readonly writer: number[] };
  /** Commits what is queued, empties the WAL, ends the threads. */
  close(): Promise<void>;
};

export type ThreadStoreOptions = ReaderPoolOptions &
  Omit<WriterQueueOptions, 'onOutcome' | 'onLongWal' | 'bound'> &
  Omit<DiskWatchOptions, 'onSpare'> & {
    /** Of the store's file; undefined: without a bound. */
    readonly bytesMax?: number | undefined;
  };

/**
 * Opens the store at `dbPath`, making it if there is none, and starts its threads.
 *
 * @throws {StoreFailed} what `store/schema.ts` refuses
 */
export async function openThreadStore(options: ThreadStoreOptions): Promise<ThreadStore> {
  const bound = new SizeBound(options.bytesMax);
  const disk = new DiskWatch({ ...options, onSpare: (bytes) => bound.noteDisk(bytes) });
  const writer = new WriterQueue({
    ...options,
    bound,
    ...(options.onChange !== undefined && { onLongWal: options.onChange }),
    onOutcome: (failure) => (failure === undefined ? disk.noteSuccess() : disk.noteFailure(failure)),
  });
  const opened = await writer.open().catch(async (error: unknown) => {
    disk.stop();
    await writer.close();
    throw error;
  });
  await writer.call.sizes({}); // The bound knows of the file from here on.
  await disk.look();
  const whyFull = () => disk.full ?? writer.full ?? bound.full;
  // Calls that only add are refused while there is no room. Calls that free or tidy are not.
  const ifRoom =
    <Q, R>(call: (request: Q) => Promise<R>) =>
    (request: Q): Promise<R> => {
      const why = whyFull();
      return why === undefined ? call(request) : Promise.reject(new StoreFailed(`cannot store: ${why}`));
    };
  const { call } = writer;
  let lastBlob = opened.lastBlobId;
  const readers = new ReaderPool(options);
  return {
    ...readers.call,
    ...call,
    putEntry: ifRoom(call.putEntry),
    putFile: ifRoom(call.putFile),
    revalidateEntry: ifRoom(call.revalidateEntry),
    openBlob: ifRoom(call.openBlob),
    putChunk: ifRoom(call.putChunk),
    touch: ifRoom(call.touch),
    putOutput: ifRoom(call.putOutput),
    openOutput: ifRoom(call.openOutput),
    putAction: ifRoom(call.putAction),
    touchActions: ifRoom(call.touchActions),
    putSession: ifRoom(call.putSession),
    get full() {
      return whyFull();
    },
    bound,
    instance: opened.instance,
    nextBlob: () => ++lastBlob,
    waitForRoom: () => writer.waitForRoom(),
    threadIds: () => ({ reader: readers.threadIds, writer: writer.threadIds }),
    close: async () => {
      disk.stop();
      // The last connection to close takes the WAL away, which one that only reads can't.
      await readers.close();
      await writer.close();
    },
  };
}
