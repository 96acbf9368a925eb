/**
 * What `--help` prints. Written here and not by yargs, whose loading alone would take longer than
 * all of it may.
 */

import type { ServeOption } from '../settings/serve-options.ts';
import type { Command } from './command.ts';
import { formatTable } from './table.ts';

/** Of one command; of all of them, with the flags of the first, where `command` is that. */
export function helpText(command: Command, commands: readonly Command[]): string {
  const isFirst = command === commands[0];
  const usage = isFirst ? '[command]' : [command.name, command.words].filter(Boolean).join(' ');
  const parts = [
    isFirst ? 'A Go module proxy that fetches once and never again.' : command.help,
    `Usage: astera ${usage} [flags]`,
    ...(isFirst ? [section('Commands', commandRows(commands))] : []),
    section(isFirst ? `Flags of ${command.name}` : 'Flags', command.flags.map(flagRow).concat(HELP_ROWS)),
    section(
      'Examples',
      command.examples.map(([line, what]) => [line.replace('$0', 'astera'), what]),
    ),
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
  return [form, fallback === undefined ? help : `${help} [default: ${fallback}]`];
}

function section(title: string, rows: readonly (readonly string[])[]): string {
  const widest = Math.max(...rows.map(([name = '']) => name.length));
  const wrapped = rows.flatMap(([name = '', help = '']) =>
    wrap(help, COLUMNS - widest).map((line, index) => [index === 0 ? name : '', line]),
  );
  const lines = formatTable(wrapped).split('\n');
  return [`${title}:`, ...lines.map((line) => `  ${line}`)].join('\n');
}

/** Words of `text` in lines of at most `columns`, or of one word. */
function wrap(text: string, columns: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const line = lines.at(-1);
    if (line === undefined || line.length + 1 + word.length > columns) lines.push(word);
    else lines[lines.length - 1] = `${line} ${word}`;
  }
  return lines;
}

/** Of a terminal, less the margins. */
const COLUMNS = 106;

const HELP_ROWS = [
  ['--help', 'this; with a command before it, of that command'],
  ['--version', 'which Astera, on which Node'],
];

const SETTINGS = `Each flag of serve can be set as ASTERA_NAME too (--list-ttl: ASTERA_LIST_TTL), or in the --config
file: the flag wins, then the variable, then the file.`;

const EPILOGUE = 'Then, on each machine: go env -w GOPROXY=http://HOST:8080';
