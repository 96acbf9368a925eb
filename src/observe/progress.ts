/**
 * The progress of long work. A terminal gets a bar with the rate and the time left. Others get a line now and then.
 *
 * It writes to stderr only, as stdout is for the command's result.
 */

import { printable } from '../core/printable.ts';
import { formatSize } from '../core/quantity.ts';

export type ProgressOptions = {
  /** The activity, such as `importing`. */
  readonly verb: string;
  /** `process.stderr`, or a stream of a test. */
  readonly stream: { readonly isTTY?: boolean; readonly columns?: number; write(text: string): unknown };
  /** Monotonic time in ms. */
  readonly now: () => number;
};

/** Between two drawings of the bar: often enough for the eye. */
const BAR_MS = 100;
/** Between two lines: rare enough for a log. */
const LINE_MS = 5_000;

const BAR_CELLS = 24;

export class Progress {
  readonly #options: ProgressOptions;
  readonly #startMs: number;
  readonly #isBar: boolean;
  #files = 0;
  #bytes = 0;
  #total: { readonly files: number; readonly bytes: number } | undefined;
  #writtenMs: number;
  #hasBar = false;

  constructor(options: ProgressOptions) {
    this.#options = options;
    this.#startMs = options.now();
    this.#writtenMs = this.#startMs;
    this.#isBar = options.stream.isTTY === true;
  }

  /** Whether a total would be shown, so that it is worth computing. */
  get wantsTotal(): boolean {
    return this.#isBar;
  }

  get elapsedMs(): number {
    return this.#options.now() - this.#startMs;
  }

  setTotal(total: { readonly files: number; readonly bytes: number }): void {
    this.#total = total;
  }

  add({ files, bytes }: { readonly files: number; readonly bytes: number }): void {
    this.#files += files;
    this.#bytes += bytes;
    const now = this.#options.now();
    if (now - this.#writtenMs < (this.#isBar ? BAR_MS : LINE_MS)) return;
    this.#writtenMs = now;
    if (this.#isBar) this.#draw();
    else this.#options.stream.write(`${this.#options.verb}: ${this.#amount()}${this.#rate()}\n`);
  }

  /** Writes a line above the bar. Control characters in it are escaped. */
  say(line: string): void {
    this.end();
    this.#options.stream.write(`${printable(line)}\n`);
  }

  /** Removes the bar. */
  end(): void {
    if (this.#hasBar) this.#options.stream.write('\r\x1b[K');
    this.#hasBar = false;
  }

  #draw(): void {
    const { verb, stream } = this.#options;
    const text = `${verb} ${this.#bar()}${this.#amount()}${this.#rate()}${this.#left()}`;
    // A terminal without a size has 0 columns.
    stream.write(`\r\x1b[K${text.slice(0, Math.max(20, (stream.columns || 80) - 1))}`);
    this.#hasBar = true;
  }

  /** The done part, by bytes if their total is known, else by files. At most 1, as totals are estimates. */
  get #part(): number | undefined {
    if (this.#total === undefined) return undefined;
    const { files, bytes } = this.#total;
    const part = bytes > 0 ? this.#bytes / bytes : this.#files / Math.max(1, files);
    return Math.min(1, part);
  }

  #bar(): string {
    const part = this.#part;
    if (part === undefined) return '';
    const full = Math.round(part * BAR_CELLS);
    return `[${'#'.repeat(full)}${'-'.repeat(BAR_CELLS - full)}] ${Math.floor(part * 100)}% `;
  }

  #amount(): string {
    const files = this.#files === 0 ? '' : `${this.#files} files, `;
    return `${files}${formatSize(this.#bytes)}`;
  }

  #rate(): string {
    const seconds = this.elapsedMs / 1000;
    return seconds < 0.1 ? '' : `, ${formatSize(this.#bytes / seconds)}/s`;
  }

  #left(): string {
    const part = this.#part;
    if (part === undefined || part < 0.01) return '';
    return `, ${Math.ceil((this.elapsedMs * (1 - part)) / part / 1000)}s left`;
  }
}
