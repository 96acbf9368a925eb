/** Thread entry of a reader: one read-only connection, opened with the first task. */

import { workerData } from 'piscina';
import { StoreReader } from '../store/reader.ts';
import type { Frame } from '../wire/frame.ts';
import { packReplies, runCall, unpackRequests } from './serve-calls.ts';

let reader: StoreReader | undefined;

export default function serveReads(frame: Frame): unknown {
  reader ??= new StoreReader((workerData as { dbPath: string }).dbPath);
  const handlers = reader;
  const requests = unpackRequests(frame);
  return packReplies(handlers.inTransaction(() => requests.map((request) => runCall(handlers, request))));
}
