/** The shape of a command for the command line, help and completion. */

import type { ServeOption } from '../settings/serve-options.ts';

/** The flags and words after a command's name. */
export type CommandInput = {
  /** By name without dashes; a switch that is given has `true`. */
  readonly flags: Readonly<Record<string, string>>;
  readonly words: readonly string[];
};

export type Command = {
  readonly name: string;
  /** One line, for the list of commands. */
  readonly help: string;
  /** The words after the name, such as `<file..>`. Absent if the command takes none. */
  readonly words?: string;
  readonly flags: readonly ServeOption[];
  readonly examples: readonly (readonly [line: string, what: string])[];
  readonly run: (input: CommandInput) => Promise<void>;
};
