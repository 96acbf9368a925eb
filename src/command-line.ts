/**
 * The command line: a line a command, each command's code loaded when it is run, so that
 * `--help` is quick and no command pays for another's packages.
 *
 * Errors are one line on stderr; exit code 2 for wrong usage, 1 for all else.
 */

import type { Argv, Options } from 'yargs';
import type { Command, CommandInput } from './commands/command.ts';
import { commands } from './commands/command-list.ts';
import { helpText } from './commands/help-text.ts';
import { printable } from './core/printable.ts';
import { quote } from './core/quote.ts';
import { UsageError, unknownName } from './core/usage-error.ts';
import { isDirectMode } from './plugin/options.ts';
import type { ServeOption } from './settings/serve-options.ts';
import { asteraVersion } from './settings/version.ts';

/** Runs the command that `args` name, `serve` without one. Never rejects: a failure ends the process. */
export async function runCommandLine(given: readonly string[]): Promise<void> {
  const args = isDirectMode(given) ? ['cacheprog', ...given] : given;
  try {
    const [first] = commands;
    if (first === undefined) throw new Error('there are no commands');
    const chosen = commands.find(({ name }) => name === args[0]);
    const named = chosen ?? first;
    const isHelp = args.some((arg) => /^--?h(?:elp)?$/.test(arg));
    const isVersion = args.some((arg) => /^--?version$/.test(arg));
    outliveStreams(named === first && !isHelp && !isVersion);
    if (isHelp) process.stdout.write(helpText(named, commands));
    else if (isVersion) process.stdout.write(`${readVersion()}\n`);
    else await (await readCommandLine(args, chosen)).parseAsync();
  } catch (error) {
    fail(error);
  }
}

/**
 * @param chosen the command that stands first. It is the only one that yargs hears of, as what to run by default: for
 * one that it knows by name yargs would put together a help that nobody sees, which takes 20 ms.
 */
async function readCommandLine(args: readonly string[], chosen: Command | undefined): Promise<Argv> {
  const { default: yargs } = await import('yargs');
  // Its own directory is nothing to us, and may be gone.
  const parser = yargs(spellOut(args), '/')
    .scriptName('astera')
    .locale('en')
    .help(false)
    .version(false)
    .parserConfiguration(LIKE_GO)
    .updateStrings({ 'Not enough arguments following: %s': 'flag --%s needs a value' })
    .exitProcess(false)
    .fail((message, error: Error | undefined) => {
      throw error ?? new UsageError(message);
    });
  if (chosen !== undefined) return addCommand(parser, chosen, ['$0']);
  for (const [index, command] of commands.entries()) {
    addCommand(parser, command, index === 0 ? [command.name, '$0'] : [command.name]);
  }
  return parser;
}

function addCommand(parser: Argv, command: Command, names: string[]): Argv {
  // Its words stay where yargs leaves what it was not told of: `readWords` counts them.
  return parser.command(
    names,
    command.help,
    (inner) => inner.options(optionsOf(command)),
    (argv) => run(command, argv),
  );
}

function optionsOf({ flags }: Command): Record<string, Options> {
  return Object.fromEntries(flags.map(({ name }) => [name, { requiresArg: true }]));
}

type Parsed = Readonly<Record<string, unknown>>;

/** Runs a command; what it throws is told with its stack when the log level asks for it. */
async function run(command: Command, argv: Parsed): Promise<void> {
  const input = readInput(command, argv);
  try {
    await command.run(input);
  } catch (error) {
    const { isDebugging } = await import('./settings/config.ts');
    if (error instanceof Error && isDebugging(input)) process.stderr.write(`${error.stack}\n`);
    throw error;
  }
}

/** Refuses what yargs lets pass: flags that do not exist, words that no command takes. */
function readInput(command: Command, argv: Parsed): CommandInput {
  const { _: bare, $0: _program, ...named } = argv;
  const { flags: known } = command;
  const flags: Record<string, string> = {};
  for (const [flag, value] of Object.entries(named)) {
    if (!known.some((one) => one.name === flag)) {
      throw unknownName(
        'flag',
        `--${flag}`,
        known.map((one) => `--${one.name}`),
      );
    }
    flags[flag] = String(value);
  }
  // After the flags: the word behind one that does not exist was taken for its value.
  return { flags, words: readWords(command, Array.isArray(bare) ? bare.map(String) : []) };
}

/** What stood behind the command's name: one word for `<x>`, one or none for `[x]`, one or more for `<x..>`. */
function readWords({ name, words: form }: Command, given: readonly string[]): string[] {
  const words = given.filter((word, index) => index > 0 || word !== name);
  const [extra] = form?.includes('..') ? [] : words.slice(form === undefined ? 0 : 1);
  if (extra !== undefined && name === FIRST) {
    throw unknownName(
      'command',
      extra,
      commands.map((one) => one.name),
    );
  }
  const see = `see 'astera ${name} --help'`;
  if (extra !== undefined) throw new UsageError(`unknown word ${quote(extra)}: ${see}`);
  if (words.length === 0 && form?.startsWith('<')) throw new UsageError(`${name} needs ${form}: ${see}`);
  return words;
}

/**
 * `--offline` as `--offline=true`: as in Go, a switch takes no word behind it, and `=1` is a value like any. A list's
 * flag that is given again has all its values in the last one, which yargs keeps.
 */
function spellOut(given: readonly string[]): string[] {
  const all: readonly ServeOption[] = commands.flatMap(({ flags }) => flags);
  const args = all.filter(({ isList }) => isList === true).reduce(joinList, given);
  const switches = all.filter(({ isSwitch }) => isSwitch === true);
  const bare = new Set(switches.flatMap(({ name }) => [`-${name}`, `--${name}`]));
  return args.map((arg) => (bare.has(arg) ? `${arg}=true` : arg));
}

function joinList(args: readonly string[], { name }: ServeOption): readonly string[] {
  const flag = new RegExp(`^--?${name}(?:=(.*))?$`, 's');
  const values: string[] = [];
  return args.flatMap((arg, at) => {
    const isValue = flag.exec(args[at - 1] ?? '')?.[1] === undefined && flag.test(args[at - 1] ?? '');
    if (isValue) values.push(arg);
    else if (!flag.test(arg)) return [arg];
    else if (flag.exec(arg)?.[1] === undefined) return [];
    else values.push(flag.exec(arg)?.[1] ?? '');
    return [`--${name}=${values.join(',')}`];
  });
}

function readVersion(): string {
  return `astera ${asteraVersion()} (Node ${process.versions.node})`;
}

/**
 * Progress and logs may be lost; a command's output may not, except the one line of `serve`, which goes on. A pipe
 * whose reader has seen enough is no error to tell.
 */
function outliveStreams(isServer: boolean): void {
  process.stderr.on('error', () => {});
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (isServer) return;
    if (error.code === 'EPIPE') process.exit(1);
    fail(new Error(`cannot write to stdout: ${error.message}`));
  });
}

function fail(error: unknown): void {
  const message = isLost(error) ? LOST : error instanceof Error ? error.message : String(error);
  process.stderr.write(`astera: ${printable(message.replace(/\s+/g, ' '))}\n`);
  // YError is what yargs itself refuses. Ends here, as a command that failed may have left threads running.
  const isUsage = error instanceof UsageError || (error instanceof Error && error.name === 'YError');
  process.exit(isUsage ? 2 : 1);
}

/** Node could not tell where it is. */
function isLost(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error && error.syscall === 'uv_cwd';
}

const LOST =
  'cannot resolve a relative path: the current directory was removed; go to another one, or give absolute paths';

const FIRST = commands[0]?.name;

/** One dash or two, one value a flag (the last), and every value a text. */
const LIKE_GO = {
  'short-option-groups': false,
  'camel-case-expansion': false,
  'dot-notation': false,
  'boolean-negation': false,
  'duplicate-arguments-array': false,
  'parse-numbers': false,
  'parse-positional-numbers': false,
} as const;
