/**
 * A reader thread that exits whenever a batch holds the key "deadly", and in the middle of a file that is still
 * empty; and throws on "buggy".
 */

import { statSync, writeFileSync } from 'node:fs';
import { type Frame, unpackFrame } from '../../src/wire/frame.ts';
import { type Request, requestCarrier } from '../../src/wire/messages.ts';
import serveReads from '../../src/workers/reader-worker.ts';

// biome-ignore lint/style/noDefaultExport: Piscina calls a worker's default export.
export default function serve(frame: Frame): unknown {
  const requests = unpackFrame<Request>(structuredClone(frame), requestCarrier);
  const keys = requests.map(({ args }) => (args as { key?: string }).key);
  for (const path of requests.map(({ args }) => (args as { path?: string }).path)) {
    if (path === undefined || statSync(path).size > 0) continue;
    writeFileSync(path, 'half');
    process.exit(9);
  }
  if (keys.includes('deadly')) process.exit(9);
  if (keys.includes('buggy')) throw new Error('thrown on purpose');
  return serveReads(frame);
}
