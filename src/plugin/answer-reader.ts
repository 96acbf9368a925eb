/** Reads what a plugin server writes: answers as JSON lines, with empty lines between them. */

import { quote } from '../core/quote.ts';
import { PLUGIN_ANSWER_BYTES_MAX } from './limits.ts';

export type ServerAnswer = {
  readonly id: number;
  /** The server could not do it. */
  readonly hasFailed: boolean;
  /** The file that it names. */
  readonly path: string | undefined;
  /** Of its greeting: what it can do. */
  readonly commands: readonly unknown[];
  /** The line as it came, without its end. */
  readonly line: string;
};

export class AnswerReader {
  readonly #take: (answer: ServerAnswer) => void;
  #rest = '';

  constructor(take: (answer: ServerAnswer) => void) {
    this.#take = take;
  }

  /** @throws {Error} no answer of a cache program: nothing that follows can be understood */
  push(bytes: Buffer): void {
    const lines = (this.#rest + bytes.toString('latin1')).split('\n');
    this.#rest = lines.pop() ?? '';
    if (this.#rest.length > PLUGIN_ANSWER_BYTES_MAX) throw new Error('an answer without end');
    for (const line of lines) {
      if (line.trim() !== '') this.#take(parseAnswer(Buffer.from(line, 'latin1').toString()));
    }
  }
}

function parseAnswer(line: string): ServerAnswer {
  const value = parseObject(line);
  const { ID: id, Err: error, DiskPath: path, Miss: isMiss, KnownCommands: commands } = value ?? {};
  const isGood =
    typeof id === 'number' &&
    isTextOrAbsent(error) &&
    isTextOrAbsent(path) &&
    (isMiss === undefined || typeof isMiss === 'boolean');
  if (!isGood) throw new Error(`no answer of a cache program: ${quote(line.slice(0, 80))}`);
  return {
    id,
    hasFailed: error !== undefined && error !== '',
    path: path === '' ? undefined : path,
    commands: Array.isArray(commands) ? commands : [],
    line,
  };
}

function parseObject(line: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}

function isTextOrAbsent(value: unknown): value is string | undefined {
  return value === undefined || typeof value === 'string';
}
