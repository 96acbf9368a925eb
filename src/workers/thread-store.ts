/** The store as the services see it: readers, writer and the counter of blob ids, joined. */

import type { Store } from '../core/store-port.ts';
import { ReaderPool, type ReaderPoolOptions } from './reader-pool.ts';
import { WriterQueue, type WriterQueueOptions } from './writer-queue.ts';

export type ThreadStore = Store & {
  /** The store's own name. */
  readonly instance: string;
  /** Waits while the writer is behind. */
  room(): Promise<void>;
  /** Commits what is queued, empties the WAL, ends the threads. */
  close(): Promise<void>;
};

/**
 * Opens the store at `dbPath`, making it if there is none, and starts its threads.
 *
 * @throws {StoreFailed} what `store/schema.ts` refuses
 */
export async function openThreadStore(options: ReaderPoolOptions & WriterQueueOptions): Promise<ThreadStore> {
  const writer = new WriterQueue(options);
  const opened = await writer.open().catch(async (error: unknown) => {
    await writer.close();
    throw error;
  });
  let lastBlob = opened.lastBlobId;
  const readers = new ReaderPool(options);
  return {
    ...readers.call,
    ...writer.call,
    instance: opened.instance,
    nextBlob: () => ++lastBlob,
    room: () => writer.room(),
    close: async () => {
      await writer.close();
      await readers.close();
    },
  };
}
