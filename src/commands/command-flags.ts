/** Flags of commands alone, which `config.ts` does not know, and how their values are read. */

import { parseDuration } from '../core/quantity.ts';
import { quote } from '../core/quote.ts';
import { UsageError } from '../core/usage-error.ts';
import type { ServeOption } from '../settings/serve-options.ts';
import type { CommandInput } from './command.ts';

/** Not one of `serveOptions`: a settings file cannot name another one. */
export const config: ServeOption = {
  name: 'config',
  help: 'a file of settings, as lines: name = value',
  form: 'a file',
};

/** A command's own duration, in ms. */
export function durationOf(flags: CommandInput['flags'], { name, form, fallback = '' }: ServeOption): number {
  try {
    return parseDuration(flags[name] ?? fallback);
  } catch {
    throw new UsageError(`bad value for --${name}: ${quote(flags[name])}: expected ${form}`);
  }
}

/** Whether a command's own switch is given. Read like those of `config.ts`, which is not loaded here. */
export function isOn(flags: CommandInput['flags'], { name, form }: ServeOption): boolean {
  const text = flags[name];
  if (text === undefined || text === 'false' || text === '0') return false;
  if (text === 'true' || text === '1') return true;
  throw new UsageError(`bad value for --${name}: ${quote(text.slice(0, 200))}: expected ${form}`);
}

/** A flag that is on when it is given. Only ever of one command, so neither variable nor file sets it. */
export function toggle(): { readonly form: string; readonly isSwitch: true } {
  return { form: 'true or false', isSwitch: true };
}
