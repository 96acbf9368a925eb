/** The commands that `go` starts: what their words and flags ask for, and the code that does it. */

import { quote } from '../core/quote.ts';
import { UsageError } from '../core/usage-error.ts';
import { openAlone } from './alone.ts';
import { runConnect } from './connect.ts';
import { connectFlags, pluginFlags } from './flags.ts';
import { type FindSetting, findIn, readArgs, readOptions } from './options.ts';
import { parsePluginAddress } from './plugin-address.ts';
import { runPlugin } from './run-plugin.ts';
import { nameOwnSession } from './session-name.ts';

type Env = Readonly<Record<string, string | undefined>>;

/**
 * Runs `cacheprog`, or `connect` where that is the first of the words, and ends the process.
 *
 * @throws {UsageError} a word or flag that there is not, a value of another form
 */
export async function runPluginCommand(args: readonly string[], env: Env): Promise<void> {
  if (args[0] === 'connect') {
    const { flags, words } = readArgs(args.slice(1), connectFlags);
    await connectCommand(words, findIn(flags, env), env);
    return;
  }
  const { flags, words } = readArgs(args, pluginFlags);
  if (words[0] !== undefined) throw new UsageError(`unknown word ${quote(words[0].slice(0, 64))}`);
  await cacheprogCommand(findIn(flags, env), env);
}

/** `astera cacheprog`. @throws {UsageError} */
export function cacheprogCommand(find: FindSetting, env: Env): Promise<void> {
  return runPlugin(readOptions(find), env);
}

/** `astera connect PORT`. Alone it goes on without a remote, which only the server knows. @throws {UsageError} */
export function connectCommand(words: readonly string[], find: FindSetting, env: Env): Promise<void> {
  const [text, ...more] = words;
  if (text === undefined || more.length > 0)
    throw new UsageError('connect needs the port of astera serve --plugin');
  const isOurs = (name: string) => connectFlags.some((flag) => flag.name === name);
  const options = readOptions((name) => (isOurs(name) ? find(name) : undefined));
  return runConnect(parseServer(text), {
    openAlone: (doors) => openAlone(doors, options),
    name: () => nameOwnSession(env),
  });
}

function parseServer(text: string) {
  try {
    return parsePluginAddress(text);
  } catch {
    const value = quote(text.slice(0, 200));
    throw new UsageError(`bad server ${value}: expected a port such as 5930, or unix:PATH`);
  }
}
