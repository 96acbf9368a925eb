/**
 * The text of `--help`. This file formats it, because loading yargs alone would take longer than
 * the whole command may take.
 */

import type { ServeOption } from '../settings/serve-options.ts';
import type { Command } from './command.ts';
import { formatTable } from './table.ts';

/** The help of one command. For the first command it also lists all commands. */
export function helpText(command: Command, commands: readonly Command[]): string {
  const isFirst = command === commands[0];
  const usage = isFirst ? '[command]' : [command.name, command.words].filter(Boolean).join(' ');
  const parts = [
    isFirst ? 'A Go module proxy that fetches each file once.' : command.help,
    `Usage: astera ${usage} [flags]`,
    ...(isFirst ? [section('Commands', commandRows(commands))] : []),
    section(isFirst ? `Flags of ${command.name}` : 'Flags', command.flags.map(flagRow).concat(HELP_ROWS)),
    exampleText(command),
    SETTINGS,
    ...(isFirst ? [EPILOGUE] : []),
  ];
  return `${parts.join('\n\n')}\n`;
}

function commandRows(commands: readonly Command[]): string[][] {
  return commands.map(({ name, help }, index) => [name, index === 0 ? `${help} [default]` : help]);
}

function flagRow({ name, help, fallback, isSwitch }: ServeOption): string[] {
  const form = isSwitch ? `--${name}` : `--${name} <value>`;
  return [form, fallback === undefined || fallback === '' ? help : `${help} [default: ${fallback}]`];
}

/** Each below its explanation: a long line beside it would leave it no room. */
function exampleText({ examples }: Command): string {
  const lines = examples.flatMap(([line, what]) => [`  # ${what}`, `  ${line.replace('$0', 'astera')}`]);
  return ['Examples:', ...lines].join('\n');
}

function section(title: string, rows: readonly (readonly string[])[]): string {
  const widest = Math.max(...rows.map(([name = '']) => name.length));
  const wrapped = rows.flatMap(([name = '', help = '']) =>
    wrap(help, COLUMNS - widest).map((line, index) => [index === 0 ? name : '', line]),
  );
  const lines = formatTable(wrapped).split('\n');
  return [`${title}:`, ...lines.map((line) => `  ${line}`)].join('\n');
}

/** Breaks `text` into lines of at most `columns`. A longer word has a line of its own. */
function wrap(text: string, columns: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const line = lines.at(-1);
    if (line === undefined || line.length + 1 + word.length > columns) lines.push(word);
    else lines[lines.length - 1] = `${line} ${word}`;
  }
  return lines;
}

/** The width of a terminal without margins. */
const COLUMNS = 106;

const HELP_ROWS = [
  ['--help', 'show this help; after a command, the help of that command'],
  ['--version', 'show the versions of Astera and Node'],
];

const SETTINGS = `You can set each flag of serve as a variable (--list-ttl is ASTERA_LIST_TTL) or in the --config file.
A flag overrides a variable, and a variable overrides the file.`;

const EPILOGUE = 'On each client machine, run: go env -w GOPROXY=http://HOST:8080';
