/** What a command is to the command line, to help and to completion. */

import type { ServeOption } from '../settings/serve-options.ts';

/** What stood on the command line behind a command's name. */
export type CommandInput = {
  /** By name without dashes; a switch that is given has `true`. */
  readonly flags: Readonly<Record<string, string>>;
  readonly words: readonly string[];
};

export type Command = {
  readonly name: string;
  /** One line, for the list of commands. */
  readonly help: string;
  /** What stands behind the name, such as `<file..>`; none where it is not given. */
  readonly words?: string;
  readonly flags: readonly ServeOption[];
  readonly examples: readonly (readonly [line: string, what: string])[];
  readonly run: (input: CommandInput) => Promise<void>;
};
