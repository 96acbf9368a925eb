/**
 * The plugin server's thread: a build's puts are hashed and written here, so that no other thread waits for the disk.
 * Its owner: `plugin-thread.ts`.
 */

import { parentPort, workerData } from 'node:worker_threads';
import type { BucketEnv } from '../bucket/credentials.ts';
import type { Address } from '../core/address.ts';
import { messageOf } from '../core/errors.ts';
import { readOptions } from '../plugin/options.ts';
import { PluginCache } from '../plugin/plugin-cache.ts';
import { PluginServer } from '../plugin/plugin-server.ts';

export type PluginWorkerData = {
  readonly address: Address;
  /** Of the cache program's flags those that are set. */
  readonly settings: Readonly<Record<string, string>>;
  /** Of a bucket. */
  readonly env: BucketEnv;
};

/** The thread's words. After `failed` it ends, and so it does when it was told to stop. */
export type PluginWorkerMessage =
  | { readonly kind: 'listening'; readonly port: number }
  | { readonly kind: 'failed'; readonly why: string }
  | { readonly kind: 'warning'; readonly line: string };

/** Its owner's only word: it is to stop, and sessions have `graceMs` to end. */
export type PluginWorkerStop = { readonly graceMs: number };

const { address, settings, env }: PluginWorkerData = workerData;

try {
  const options = readOptions((name) => {
    const text = settings[name];
    return text === undefined ? undefined : { text };
  });
  const cache = new PluginCache(options, (line) => say({ kind: 'warning', line }), env);
  const server = await PluginServer.listen({ address, cache });
  parentPort?.once('message', ({ graceMs }: PluginWorkerStop) => void server.stop(graceMs));
  say({ kind: 'listening', port: server.port });
} catch (error) {
  say({ kind: 'failed', why: messageOf(error) });
}

function say(message: PluginWorkerMessage): void {
  parentPort?.postMessage(message);
}
