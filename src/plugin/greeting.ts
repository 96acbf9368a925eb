/** The first message of a cache program, which `go` waits for. It knows no other commands than the first three, and overlooks them. */

import { NAME_COMMAND } from './told-name.ts';

export function greeting({ takesName = false } = {}): string {
  const commands = ['get', 'put', 'close', ...(takesName ? [NAME_COMMAND] : [])];
  return `${JSON.stringify({ ID: 0, KnownCommands: commands })}\n`;
}
