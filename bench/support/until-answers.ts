/** Waits for a server that was just started. */

import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { messageOf } from '../../src/core/errors.ts';

const TRIES_MAX = 100;
const BETWEEN_MS = 50;

/**
 * Asks `url` until there is an answer, of any status.
 *
 * @throws if the program cannot be run, ends, or does not answer within five seconds; the message has `hint`
 */
export async function untilAnswers(server: {
  readonly url: string;
  readonly child: ChildProcess;
  readonly name: string;
  readonly hint: string;
}): Promise<void> {
  const { url, child, name, hint } = server;
  const cannot = (why: string) => new Error(`cannot start ${name}: ${why}: ${hint}`);
  // `once` rejects when the child emits `error`, which it does for a program that is not there.
  const ended = once(child, 'exit').then(
    ([code]) => cannot(`it ended with ${code}`),
    (error) => cannot(messageOf(error)),
  );
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    const isUp = fetch(url).then(
      () => 'up' as const,
      () => delay(BETWEEN_MS),
    );
    const outcome = await Promise.race([isUp, ended]);
    if (outcome === 'up') return;
    if (outcome instanceof Error) throw outcome;
  }
  child.kill('SIGTERM');
  throw cannot('no answer within five seconds');
}
