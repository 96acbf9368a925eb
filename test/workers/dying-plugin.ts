/** A plugin server's thread that dies as soon as it has listened on port 0, and works on any other. */

import { parentPort, workerData } from 'node:worker_threads';
import type { PluginWorkerData } from '../../src/workers/plugin-worker.ts';

const { address }: PluginWorkerData = workerData;
const isFirst = address.kind === 'tcp' && address.port === 0;
parentPort?.postMessage({ kind: 'listening', port: 5930 });
parentPort?.postMessage({ kind: 'warning', line: `listens on ${JSON.stringify(address)}` });
parentPort?.once('message', () => {}); // It stays until it is told to stop.
if (isFirst)
  setImmediate(() => {
    throw new Error('a bug');
  });
