/**
 * The store of a command that writes: a running server's, over its control socket, or this process's
 * own. Which of both it is shows in nothing but speed.
 */

import { constants, setPriority } from 'node:os';
import { connectControl, type ServerStore } from '../control/control-client.ts';
import { controlPath } from '../control/control-path.ts';
import type { WritableStore } from '../core/control-port.ts';
import { clock } from '../serve/clock.ts';
import type { StoreConfig } from '../settings/config.ts';
import { lockStore } from '../store/lock.ts';
import { lookAtStore } from '../store/look.ts';
import type { WriterMode } from '../store/schema.ts';
import { openThreadStore, type ThreadStore } from '../workers/thread-store.ts';

export type OpenedStore = {
  readonly store: WritableStore;
  /** Commits what is under way. */
  close(): Promise<void>;
} & (
  | {
      /** The running server that has the store. */
      readonly server: ServerStore;
      readonly own: undefined;
    }
  | {
      readonly server: undefined;
      /** The store itself, which this process has. */
      readonly own: ThreadStore;
    }
);

/**
 * @param mayBeNew whether to make a store where there is none; `mode`: how this process would write to it
 * @throws {StoreFailed} no store, not ours, damaged, or in use by what can't be talked to
 */
export async function openStoreForWriting(
  config: StoreConfig,
  { mayBeNew, mode = 'shared' }: { readonly mayBeNew: boolean; readonly mode?: WriterMode },
): Promise<OpenedStore> {
  lookAtStore(config.dbPath, { mayBeNew });
  const server = await connectControl(controlPath(config.dbPath));
  if (server === undefined) return openOwn(config, mode);
  // The server and its clients come first.
  setPriority(constants.priority.PRIORITY_LOW);
  return {
    store: server,
    server,
    own: undefined,
    close: async () => server.close(),
  };
}

async function openOwn(config: StoreConfig, mode: WriterMode): Promise<OpenedStore> {
  const lock = lockStore(config.dbPath);
  try {
    const own = await openThreadStore({
      dbPath: config.dbPath,
      mode,
      threads: 1,
      now: clock.monotonicMs,
      onDeath: (message) => process.stderr.write(`astera: ${message}\n`),
    });
    const close = async () => {
      await own.close();
      lock.release();
    };
    return { store: own, server: undefined, own, close };
  } catch (error) {
    lock.release();
    throw error;
  }
}
