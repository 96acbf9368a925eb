/** `astera cacheprog`, where it is started from the sources; else `bin/astera` runs its one file at once. */

import type { CommandInput } from './command.ts';

export async function cacheprogCommand(flags: CommandInput['flags']): Promise<void> {
  const { runPlugin } = await import('../plugin/run-plugin.ts');
  await runPlugin(flags);
}
