/**
 * Thread entry of a reader: one read-only connection, opened with the first task.
 *
 * A batch of reads is one transaction. A call that writes a file comes alone and has none: a transaction as
 * long as a large zip takes would keep the WAL from being emptied, or a bulk writer from its commit.
 */

import { workerData } from 'node:worker_threads';
import { StoreReader } from '../store/reader.ts';
import type { Frame } from '../wire/frame.ts';
import { isLong } from '../wire/messages.ts';
import { packReplies, runCall, unpackRequests } from './serve-calls.ts';

let reader: StoreReader | undefined;

export default function serveReads(frame: Frame): unknown {
  reader ??= new StoreReader((workerData as { dbPath: string }).dbPath);
  const handlers = reader;
  const requests = unpackRequests(frame);
  const run = () => requests.map((request) => runCall(handlers, request));
  return packReplies(requests.some(isLong) ? run() : handlers.inTransaction(run));
}
