/**
 * Thread entry of the writer: the only writable connection.
 *
 * A task is a group of calls that commits as one transaction; checkpoints can't run
 * inside one, so they come alone. If the transaction fails, every call of the group fails.
 */

import { workerData } from 'node:worker_threads';
import type { WriterMode } from '../store/schema.ts';
import { StoreWriter } from '../store/writer.ts';
import type { Frame } from '../wire/frame.ts';
import type { Reply, Request } from '../wire/messages.ts';
import { failureOf, freeRequests, packReplies, runCall, unpackRequests } from './serve-calls.ts';

/** The answer to 'open'. */
export type Opened = {
  readonly lastBlobId: number;
  /** This store's own name, made with it. Its requests carry it in `Via`. */
  readonly instance: string;
};

let writer: StoreWriter | undefined;

export default function serveWrites(frame: Frame | 'open' | 'close'): unknown {
  if (frame === 'close') {
    writer?.checkpoint({ truncate: true });
    writer?.close();
    writer = undefined;
    return undefined;
  }
  const { dbPath, writerMode } = workerData as { dbPath: string; writerMode?: WriterMode };
  writer ??= new StoreWriter(dbPath, writerMode);
  if (frame === 'open')
    return { lastBlobId: writer.lastBlobId(), instance: writer.instance() } satisfies Opened;
  const requests = unpackRequests(frame);
  const replies = runGroup(writer, requests);
  freeRequests(requests);
  return packReplies(replies);
}

function runGroup(handlers: StoreWriter, requests: Request[]): Reply[] {
  const [first] = requests;
  if (requests.length === 1 && first?.call === 'checkpoint') return [runCall(handlers, first)];
  try {
    return handlers.inTransaction(() =>
      requests.map((request) => {
        const reply = runCall(handlers, request);
        // SQLite's failures undo the group; a refusal of one call leaves the others alone.
        if (!reply.ok && reply.message.startsWith('cannot use store')) throw new GroupFailed(reply);
        return reply;
      }),
    );
  } catch (error) {
    const reply = error instanceof GroupFailed ? error.reply : failureOf(error);
    return requests.map(() => reply);
  }
}

class GroupFailed extends Error {
  readonly reply: Reply;

  constructor(reply: Reply) {
    super('group failed');
    this.reply = reply;
  }
}
