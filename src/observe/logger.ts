/** The log: pino to stderr, JSON lines for machines, short lines for people on a terminal. */

import { createRequire } from 'node:module';
import type { Logger as PinoLogger, pino as pinoType } from 'pino';
import { printable } from '../core/printable.ts';

// By `require`, as all CommonJS packages of the server: Node reads those it imports twice, once for their names alone.
const { pino }: { readonly pino: typeof pinoType } = createRequire(import.meta.url)('pino');

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';
export type Logger = PinoLogger;

const names: Record<number, string> = { 20: 'debug', 30: 'info ', 40: 'WARN ', 50: 'ERROR', 60: 'FATAL' };

/** @param isTerminal whether a person reads: then one plain line an event, without JSON */
export function createLogger(level: LogLevel, isTerminal: boolean): Logger {
  const options = { level, base: null, timestamp: pino.stdTimeFunctions.isoTime };
  if (!isTerminal) return pino(options, new GatheredLines());
  return pino(options, { write: (line: string) => process.stderr.write(plainLine(line)) });
}

/** Pino's number for it. */
const WARN = 40;

/** How long a line may wait for others. */
const GATHER_MS = 100;

/** Characters that may wait: some 300 lines. */
const GATHERED_MAX = 64 * 1024;

/**
 * Lines to stderr, many in one write: each write wakes whoever reads them, on the core that the front
 * thread runs on, which took a fifth of its time in a herd. Warnings and errors, and what waits
 * with them, go out at once.
 */
class GatheredLines {
  /** Asks pino to set `lastLevel` before each line. */
  readonly [pino.symbols.needsMetadataGsym] = true;
  lastLevel = 0;
  readonly #stderr = pino.destination({ fd: 2, sync: true });
  #text = '';
  #timer: NodeJS.Timeout | undefined;

  constructor() {
    process.on('exit', () => this.#flush());
  }

  write(line: string): void {
    this.#text += line;
    if (this.lastLevel >= WARN || this.#text.length >= GATHERED_MAX) this.#flush();
    else this.#timer ??= setTimeout(() => this.#flush(), GATHER_MS).unref();
  }

  #flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#text === '') return;
    const text = this.#text;
    this.#text = '';
    this.#stderr.write(text);
  }
}

/** Formats one of pino's lines for a person. Text from clients and upstreams must not control the terminal. */
export function plainLine(line: string): string {
  const { level, time, msg, ...rest } = JSON.parse(line) as { level: number; time: string; msg?: string };
  const fields = Object.entries(rest).map(([name, value]) => ` ${name}=${printable(JSON.stringify(value))}`);
  return `${time.slice(11, 19)} ${names[level] ?? level} ${printable(msg ?? '')}${fields.join('')}\n`;
}
