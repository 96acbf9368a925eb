/**
 * The command line: a line a command, each command's code loaded when it is run, so that
 * `--help` is quick and no command pays for another's packages.
 *
 * Errors are one line on stderr; exit code 2 for wrong usage, 1 for all else.
 */

import { readFileSync } from 'node:fs';
import yargs, { type Argv, type Options } from 'yargs';
import { type ServeOption, serveOptions } from './commands/serve-options.ts';
import type { Config } from './config.ts';
import { UsageError, unknownName } from './core/usage-error.ts';

/** Runs the command that `args` name, `serve` without one. Never rejects: a failure ends the process. */
export async function runCommandLine(args: readonly string[]): Promise<void> {
  try {
    await readCommandLine(args).parseAsync();
  } catch (error) {
    fail(error);
  }
}

function readCommandLine(args: readonly string[]): Argv {
  return yargs(spellOut(args))
    .scriptName('astera')
    .locale('en')
    .usage('A Go module proxy that fetches once and never again.\n\nUsage: $0 [serve] [flags]')
    .command(['serve', '$0'], 'Answer the go command.', describeServe, runServe)
    .version(readVersion())
    .alias('help', 'h')
    .parserConfiguration(LIKE_GO)
    .updateStrings({ 'Not enough arguments following: %s': 'flag --%s needs a value' })
    .wrap(110)
    .exitProcess(false)
    .fail((message, error: Error | undefined) => {
      throw error ?? new UsageError(message);
    });
}

function describeServe(parser: Argv): Argv {
  const options: Record<string, Options> = {
    config: { describe: 'a file of settings, as lines: name = value' },
  };
  for (const { name, help, fallback } of listed) {
    options[name] = { describe: help, ...(fallback !== undefined && { defaultDescription: fallback }) };
  }
  for (const option of Object.values(options)) option.requiresArg = true;
  return parser.options(options).example(EXAMPLES).epilogue(EPILOGUE);
}

async function runServe(argv: Readonly<Record<string, unknown>>): Promise<void> {
  const { loadConfig } = await import('./config.ts');
  const names = [...listed.map(({ name }) => name), 'config'];
  const config = await loadConfig({ flags: readFlags(argv, { command: 'serve', names }) });
  await runWith(config, async () => {
    const { serve } = await import('./commands/serve.ts');
    await serve(config);
  });
}

/** Runs a command; what it throws is told with its stack when the log level asks for it. */
async function runWith(config: Config, run: () => Promise<void>): Promise<void> {
  try {
    await run();
  } catch (error) {
    if (config.logLevel === 'debug' && error instanceof Error) process.stderr.write(`${error.stack}\n`);
    throw error;
  }
}

type Expected = { readonly command: string; readonly names: readonly string[] };

/** The flags' texts. Refuses what yargs lets pass: flags that do not exist, words that no command takes. */
function readFlags(
  argv: Readonly<Record<string, unknown>>,
  { command, names }: Expected,
): Record<string, string> {
  const { _: words, $0: _program, ...flags } = argv;
  const extra = Array.isArray(words) ? words.filter((word, index) => index > 0 || word !== command) : [];
  if (extra.length > 0) throw unknownName('command', String(extra[0]), [command]);
  const dashed = names.map((name) => `--${name}`);
  for (const name of Object.keys(flags)) {
    if (!names.includes(name)) throw unknownName('flag', `--${name}`, dashed);
  }
  return Object.fromEntries(Object.entries(flags).map(([name, value]) => [name, String(value)]));
}

/** `--offline` as `--offline=true`: as in Go, a switch takes no word behind it, and `=1` is a value like any. */
function spellOut(args: readonly string[]): string[] {
  const switches = listed.filter(({ isSwitch }) => isSwitch === true);
  const bare = switches.flatMap(({ name }) => [`-${name}`, `--${name}`]);
  return args.map((arg) => (bare.includes(arg) ? `${arg}=true` : arg));
}

function readVersion(): string {
  const manifest: unknown = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
  const version =
    typeof manifest === 'object' && manifest !== null && 'version' in manifest && manifest.version;
  return `astera ${String(version)} (Node ${process.versions.node})`;
}

function fail(error: unknown): void {
  const message = error instanceof Error ? error.message : String(error);
  process.stderr.write(`astera: ${message.replace(/\s+/g, ' ')}\n`);
  // YError is what yargs itself refuses. Ends here, as a command that failed may have left threads running.
  const isUsage = error instanceof UsageError || (error instanceof Error && error.name === 'YError');
  process.exit(isUsage ? 2 : 1);
}

const listed: readonly ServeOption[] = Object.values(serveOptions);

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

const EXAMPLES: [string, string][] = [
  ['$0', 'serve on :8080 what GOPROXY names'],
  ['$0 -addr :9000 -db /var/lib/astera.db', 'another port, another file'],
  ['$0 --upstream https://proxy.example', 'fetch from there'],
  ['$0 --private "*.corp.example"', 'tell no upstream of these'],
  ['$0 --offline', 'answer from what is stored'],
];

const EPILOGUE =
  'Each flag can be set as ASTERA_NAME too (--list-ttl: ASTERA_LIST_TTL), or in the --config file: ' +
  'the flag wins, then the variable, then the file.\nThen, on each machine: go env -w GOPROXY=http://HOST:8080';
