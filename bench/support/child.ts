/** A load generator in a process of its own, so that its CPU is not the bench's: one task, one outcome. */

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

/**
 * Runs `file` of this directory, sends it `task` and waits for its answer.
 *
 * @throws if it ends before that
 */
export async function inChild<Outcome>(file: string, task: object): Promise<Outcome> {
  const main = join(import.meta.dirname, file);
  const child = fork(main, { execArgv: ['--disable-warning=ExperimentalWarning'] });
  const exited = once(child, 'exit');
  child.send(task);
  const died = exited.then(() => Promise.reject(new Error(`${file} ended without an outcome`)));
  const [outcome] = (await Promise.race([once(child, 'message'), died])) as [Outcome];
  died.catch(() => {}); // From here on it may.
  child.disconnect();
  await exited;
  return outcome;
}
