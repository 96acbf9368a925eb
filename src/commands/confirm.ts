/** A question to whoever sits at the terminal, before something is done that cannot be undone. */

import { createInterface } from 'node:readline';
import { UsageError } from '../core/usage-error.ts';

/**
 * Asks on the terminal; anything but `y` or `yes`, or the end of the input, means no.
 *
 * @throws {UsageError} there is no terminal to ask on
 */
export async function isConfirmed(question: string): Promise<boolean> {
  if (!process.stdin.isTTY) throw new UsageError(`there is no terminal to ask on: add --yes`);
  const lines = createInterface({ input: process.stdin, output: process.stderr, terminal: false });
  const answer = await new Promise<string>((resolve) => {
    lines.once('close', () => resolve(''));
    lines.question(`${question} [y/N] `, resolve);
  });
  lines.close();
  return /^\s*y(?:es)?\s*$/i.test(answer);
}
