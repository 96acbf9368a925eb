/** The cache program on its own: joins its parts on this process' stdin, stdout and stderr, and ends the process. */

import { greeting } from './greeting.ts';
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
    ...(cache.knowsSets && { name: nameOwnSession(env) }),
  });
  await Promise.race([session.closed, readInput(new RequestReader(session))]);
  await session.end();
  await cache.close();
  session.answerClose();
  await output.end();
  await cache.end();
  process.exit(0);
}

/** Until its end. Rejects where it is not the `go` command's. */
function readInput(reader: RequestReader): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdin.on('data', (bytes: Buffer) => {
      try {
        reader.push(bytes);
      } catch (error) {
        reject(error);
      }
    });
    process.stdin.on('end', resolve);
    process.stdin.on('error', reject);
  });
}

function warn(line: string): void {
  process.stderr.write(`astera cacheprog: ${line}\n`);
}
