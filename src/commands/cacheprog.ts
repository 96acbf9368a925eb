/** `astera cacheprog` and `connect`, where they are started from the sources; else `bin/astera` runs their one file at once. */

import { cacheprogCommand, connectCommand } from '../plugin/plugin-commands.ts';
import { environment, findPluginSetting } from '../settings/config.ts';
import type { CommandInput } from './command.ts';

export function runCacheprog({ flags }: CommandInput): Promise<void> {
  return cacheprogCommand(findPluginSetting(flags), environment());
}

export function runConnect({ flags, words }: CommandInput): Promise<void> {
  return connectCommand(words, findPluginSetting(flags), environment());
}
