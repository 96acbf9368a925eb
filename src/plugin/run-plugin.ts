/** The cache program on its own: joins its parts on this process' stdin, stdout and stderr, and ends the process. */

import { greeting } from './greeting.ts';
import { readInput } from './input.ts';
import type { PluginOptions } from './options.ts';
import { Output } from './output.ts';
import { PluginCache } from './plugin-cache.ts';
import { RequestReader } from './request-reader.ts';
import { Session } from './session.ts';
import { type GoCommand, nameOwnSession } from './session-name.ts';

/** Runs until `close` is answered or stdin ends. @throws {Error} stdin is not the `go` command's */
export async function runPlugin(options: PluginOptions, env: GoCommand['env']): Promise<void> {
  const output = new Output();
  output.write(greeting());
  const cache = new PluginCache(options, warn, env);
  const session = new Session({
    cache,
    write: (text) => output.write(text),
    ...(cache.knowsSets && { name: once(() => nameOwnSession(env)) }),
  });
  const reader = new RequestReader(session);
  const input = readInput({
    push: (bytes) => reader.push(bytes),
    mayBlock: () => session.waiting === 0 && cache.isIdle && output.isWritten,
    isOver: () => session.isClosed,
  });
  await Promise.race([session.closed, input]);
  await session.end();
  await cache.close();
  session.answerClose();
  await output.end();
  await cache.end();
  process.exit(0);
}

function once<T extends object>(make: () => T): () => T {
  let made: T | undefined;
  return () => {
    made ??= make();
    return made;
  };
}

function warn(line: string): void {
  process.stderr.write(`astera cacheprog: ${line}\n`);
}
