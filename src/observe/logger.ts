/** The log: pino to stderr. Machines get JSON lines, and people on a terminal get short lines. */

import { createRequire } from 'node:module';
import type { Logger as PinoLogger, pino as pinoType } from 'pino';
import { printable, printableJson } from '../core/printable.ts';
import { LogStream } from './log-stream.ts';

// By `require`, as all CommonJS packages of the server: Node reads an imported one twice, once for its exports alone.
const { pino }: { readonly pino: typeof pinoType } = createRequire(import.meta.url)('pino');

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';
export type Logger = PinoLogger;

const names: Record<number, string> = { 20: 'debug', 30: 'info ', 40: 'WARN ', 50: 'ERROR', 60: 'FATAL' };

export type LoggerOptions = {
  readonly level: LogLevel;
  /** True: a person reads the log. Each event is one plain line without JSON, written at once. */
  readonly isTerminal: boolean;
  /** Called for each line that stderr had no room for. */
  readonly onDrop?: () => void;
};

/** Creates a log that neither blocks nor ends the process, even if its file descriptor fails. */
export function createLogger({ level, isTerminal, onDrop = () => {} }: LoggerOptions): Logger {
  const onAgain = (lines: number) => {
    logger.warn({ lines }, 'log lines were dropped: stderr took none');
  };
  const lines = new LogStream({ fd: 2, onDrop, onAgain });
  const options = { level, base: null, timestamp: pino.stdTimeFunctions.isoTime };
  const logger = pino(options, new Destination(lines, isTerminal));
  return logger;
}

class Destination {
  /** Asks pino to set `lastLevel` before each line. */
  readonly [pino.symbols.needsMetadataGsym] = true;
  lastLevel = 0;
  readonly #lines: LogStream;
  readonly #isTerminal: boolean;

  constructor(lines: LogStream, isTerminal: boolean) {
    this.#lines = lines;
    this.#isTerminal = isTerminal;
  }

  /** Warnings and errors go out at once. */
  write(line: string): void {
    if (this.#isTerminal) this.#lines.write(plainLine(line), true);
    else this.#lines.write(printableJson(line), this.lastLevel >= WARN);
  }
}

/** Pino's number of the level `warn`. */
const WARN = 40;

/** Formats one of pino's lines for a person. Text from clients and upstreams must not control the terminal. */
export function plainLine(line: string): string {
  const { level, time, msg, ...rest } = JSON.parse(line) as { level: number; time: string; msg?: string };
  const fields = Object.entries(rest).map(([name, value]) => ` ${name}=${printable(JSON.stringify(value))}`);
  return `${time.slice(11, 19)} ${names[level] ?? level} ${printable(msg ?? '')}${fields.join('')}\n`;
}
