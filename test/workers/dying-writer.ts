/**
 * A writer thread that dies: on the first task of each store that holds a call named in `DEATHS`,
 * before or after the group is committed. The store's directory remembers who has died.
 */

import { existsSync, writeFileSync } from 'node:fs';
import { workerData } from 'piscina';
import type { Frame } from '../../src/wire/frame.ts';
import { unpackFrame } from '../../src/wire/frame.ts';
import { type Request, requestCarrier } from '../../src/wire/messages.ts';
import serveWrites from '../../src/workers/writer-worker.ts';

/** A `putEntry` of this key ends the thread: exits before or after the commit, throws, or dies every time. */
type Death = 'exit-before' | 'exit-after' | 'throw-before' | 'always';

// biome-ignore lint/style/noDefaultExport: Piscina calls a worker's default export.
export default function serve(task: Frame | 'open' | 'close'): unknown {
  const death = typeof task === 'string' ? undefined : deathIn(task);
  if (death === undefined) return serveWrites(task);
  if (death === 'throw-before') throw new Error('thrown on purpose');
  if (death === 'exit-after') serveWrites(task);
  process.exit(9);
}

function deathIn(frame: Frame): Death | undefined {
  // Unpacked from a copy: the real worker unpacks the frame itself.
  const requests = unpackFrame<Request>(structuredClone(frame), requestCarrier);
  const keys = requests.map(({ args }) => (args as { key?: string }).key);
  const death = keys.find((key): key is Death => /^(exit|throw|always)/.test(key ?? ''));
  if (death === undefined || death === 'always') return death;
  const mark = `${(workerData as { dbPath: string }).dbPath}.${death}`;
  if (existsSync(mark)) return undefined;
  writeFileSync(mark, '');
  return death;
}
