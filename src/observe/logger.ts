/** The log: pino to stderr, JSON lines for machines, short lines for people on a terminal. */

import { createRequire } from 'node:module';
import type { Logger as PinoLogger, pino as pinoType } from 'pino';
import { printable } from '../core/printable.ts';
import { LogStream } from './log-stream.ts';

// By `require`, as all CommonJS packages of the server: Node reads those it imports twice, once for their names alone.
const { pino }: { readonly pino: typeof pinoType } = createRequire(import.meta.url)('pino');

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';
export type Logger = PinoLogger;

const names: Record<number, string> = { 20: 'debug', 30: 'info ', 40: 'WARN ', 50: 'ERROR', 60: 'FATAL' };

export type LoggerOptions = {
  readonly level: LogLevel;
  /** A person reads: one plain line an event, without JSON, at once. */
  readonly isTerminal: boolean;
  /** Called for each line that stderr had no room for. */
  readonly onDrop?: () => void;
};

/** A log that neither blocks nor ends the process, whatever becomes of its file descriptor. */
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
    else this.#lines.write(line, this.lastLevel >= WARN);
  }
}

/** Pino's number for it. */
const WARN = 40;

/** Formats one of pino's lines for a person. Text from clients and upstreams must not control the terminal. */
export function plainLine(line: string): string {
  const { level, time, msg, ...rest } = JSON.parse(line) as { level: number; time: string; msg?: string };
  const fields = Object.entries(rest).map(([name, value]) => ` ${name}=${printable(JSON.stringify(value))}`);
  return `${time.slice(11, 19)} ${names[level] ?? level} ${printable(msg ?? '')}${fields.join('')}\n`;
}
