/**
 * What a `go` command will ask for, fetched before it asks: one request for all that such commands asked for before.
 *
 * The first get that the local directory can't answer starts it. While the outputs come, gets are answered out of what has
 * come. A get of what is near in the stream waits for it. All else is asked for alone, so that no get is later than without
 * a stream by more than `PREFETCH_WAIT_MS`, and all together by not much more than `PREFETCH_VAIN_MS_MAX`. The wire: `core/session-wire.ts`.
 */

import type { IndexRow } from '../core/session-wire.ts';
import type { LocalEntry } from './cache-directory.ts';
import type { DeltaBase } from './delta-base.ts';
import { HOST_MARK_ID } from './host-bound.ts';
import {
  DELTA_BASES_CHECKED_MAX,
  PREFETCH_NEAR_BYTES,
  PREFETCH_NEAR_MS,
  PREFETCH_VAIN_MS_MAX,
  PREFETCH_WAIT_MS,
} from './limits.ts';
import type { LocalCache } from './local-cache.ts';
import type { LocalPut } from './local-put.ts';
import type { StreamSink } from './session-stream.ts';

export type PrefetchDoors = {
  readonly local: LocalCache;
  /** As the server was told: outputs past it do not come. */
  readonly bytesMax: number;
  /** Finds where the outputs come from. Undefined: nowhere. Never rejects. */
  readonly open: () => Promise<PrefetchSource | undefined>;
  /** Whether a row may be used, by its signatures. */
  readonly accepts: (row: IndexRow) => boolean;
  /** Whether an output may come from another machine. @param start its first bytes */
  readonly isShareable: (start: Buffer, path: string) => boolean;
  readonly now: () => number;
};

/** Where outputs come from, such as a server's stream. */
export type PrefetchSource = {
  /** Hands on the index, then one output after the other. Settles when no more comes, rejects where no more can come. */
  readonly read: (sink: StreamSink) => Promise<void>;
  /** Is told of a row whose output was not what the row names. */
  readonly onWrong?: (row: number) => void;
  /** Whether no machine takes an action's output from another one. */
  readonly rulesOut?: (actionId: string) => boolean;
  readonly close: () => void;
};

/** `alone`: it is to be asked for by itself. */
export type Prefetched = { readonly entry: LocalEntry | undefined } | 'alone';

type Row = IndexRow & {
  /** Bytes of the stream before it. */
  readonly offset: number;
  state: Prefetched | 'coming';
  readonly waiters: (() => void)[];
};

export class Prefetch {
  readonly #doors: PrefetchDoors;
  readonly #byAction = new Map<string, Row>();
  readonly #byOutput = new Map<string, Row[]>();
  #rows: readonly Row[] = [];
  /** Settles when the index is here, or will not come. */
  readonly #index: Promise<void>;
  #indexDone: () => void = () => {};
  #source: PrefetchSource | undefined;
  #isOver = false;
  /** Of a row: what its deltas are against. */
  #base: { readonly number: number; readonly output: DeltaBase } | undefined;
  /** Old outputs that were hashed. */
  readonly #checkedBases = new Set<string>();
  /** The row that comes now. */
  #coming: { readonly number: number; readonly put: LocalPut } | undefined;
  /** Bytes of the stream up to the last row that came. */
  #reached = 0;
  #startedMs = 0;
  /** So long gets have waited for what did not come. Those that wait at the same time count once. */
  #vainMs = 0;
  /** The end of the last such wait. */
  #vainToMs = 0;
  /** Bytes of outputs that came. */
  bytes = 0;
  /** Of these, bytes that came as deltas; and the bytes of the deltas. */
  deltaContentBytes = 0;
  deltaBytes = 0;
  readonly #fetched = new Set<Row>();
  readonly #used = new Set<Row>();

  constructor(doors: PrefetchDoors) {
    this.#doors = doors;
    this.#index = new Promise((resolve) => {
      this.#indexDone = resolve;
    });
    void this.#run();
  }

  /** Whether nothing more comes. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Bytes of outputs that came and that nobody asked for. */
  get unusedBytes(): number {
    return [...this.#fetched].filter((row) => !this.#used.has(row)).reduce((sum, { size }) => sum + size, 0);
  }

  /** Actions that came. */
  arrived(): string[] {
    return this.#rows.flatMap(({ actionId, state }) =>
      typeof state === 'object' && state.entry !== undefined ? [actionId] : [],
    );
  }

  /** Notes that an action was asked for. */
  note(actionId: string): void {
    const row = this.#byAction.get(actionId);
    const first = row && this.#byOutput.get(row.outputId)?.[0];
    if (first !== undefined) this.#used.add(first);
  }

  /** Of an action that is not in the local directory. */
  async get(actionId: string): Promise<Prefetched> {
    await this.#index;
    const row = this.#byAction.get(actionId);
    if (row === undefined) return 'alone';
    this.note(actionId);
    if (row.size === 0) return this.#makeEmpty(row);
    if (row.state === 'coming' && this.#isNear(row)) await this.#arrival(row);
    return row.state === 'coming' ? 'alone' : row.state;
  }

  /** Whether the set has an action, as far as it has come. */
  names(actionId: string): boolean {
    return this.#byAction.has(actionId);
  }

  /** Whether an action need not be asked for: no machine takes its output from another one. */
  rulesOut(actionId: string): boolean {
    return this.#source?.rulesOut?.(actionId) === true;
  }

  /** Ends the stream. What waits for it is asked for alone. */
  close(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#source?.close();
    this.#coming?.put.abort();
    this.#coming = undefined;
    this.#setBase(undefined);
    this.#indexDone();
    for (const row of this.#rows) this.#settle(row, 'alone');
  }

  async #run(): Promise<void> {
    const { open, now } = this.#doors;
    this.#source = await open();
    if (this.#source === undefined || this.#isOver) {
      this.#source?.close();
      this.close();
      return;
    }
    this.#startedMs = now();
    // All gets wait for the index: a server that sends it byte by byte must not hold them up.
    const late = setTimeout(() => this.close(), PREFETCH_WAIT_MS);
    void this.#index.then(() => clearTimeout(late));
    try {
      await this.#source.read({
        onIndex: (rows) => this.#takeIndex(rows),
        onBytes: (number, bytes) => this.#takeBytes(number, bytes),
        onBase: (number, outputId) => this.#takeBase(number, outputId),
        onDelta: (number, delta) => this.#takeDelta(number, delta),
        onGone: (number) => this.#fail(number),
      });
    } catch {
      // What has come is checked, and the rest is asked for alone.
    }
    this.close();
  }

  #takeIndex(rows: readonly IndexRow[]): void {
    if (this.#isOver) return;
    let offset = 0;
    this.#rows = rows.map((row) => {
      const twins = this.#byOutput.get(row.outputId) ?? [];
      // A mark leads to this host's own output, which no set has.
      const isAlone = row.size > this.#doors.bytesMax - offset || row.outputId === HOST_MARK_ID;
      const state = twins[0]?.state ?? (isAlone ? 'alone' : 'coming');
      const made: Row = { ...row, offset, state, waiters: [] };
      if (twins.push(made) === 1) {
        this.#byOutput.set(row.outputId, twins);
        if (state === 'coming') offset += row.size;
      }
      this.#byAction.set(row.actionId, made);
      return made;
    });
    this.#indexDone();
  }

  #takeBytes(number: number, bytes: Buffer): void {
    const row = this.#rows[number];
    if (row?.state !== 'coming') return;
    try {
      const put = this.#putOf(number, row);
      put.write(bytes);
      this.bytes += bytes.length;
      if (put.isWhole) this.#finish(row, put);
    } catch (error) {
      // A full disk says nothing of what came.
      if (!isOfSystem(error)) this.#source?.onWrong?.(number);
      this.#fail(number);
    }
  }

  #takeBase(number: number, outputId: string): void {
    this.#setBase(undefined);
    if (this.#rows[number]?.state !== 'coming') return;
    try {
      this.#setBase({ number, output: this.#doors.local.openBase(outputId) });
    } catch {
      this.#fail(number); // It has gone since.
    }
  }

  #takeDelta(number: number, delta: Buffer): void {
    const row = this.#rows[number];
    if (row?.state !== 'coming') return;
    try {
      if (this.#base?.number !== number) throw new Error('a delta against nothing');
      const put = this.#putOf(number, row);
      for (const bytes of this.#base.output.pieces(delta, put.written)) {
        put.write(bytes);
        this.bytes += bytes.length;
        this.deltaContentBytes += bytes.length;
      }
      this.deltaBytes += delta.length;
      if (put.isWhole) this.#finish(row, put);
    } catch {
      this.#fail(number);
    }
  }

  #setBase(base: { readonly number: number; readonly output: DeltaBase } | undefined): void {
    this.#base?.output.close();
    this.#base = base;
  }

  #putOf(number: number, row: Row): LocalPut {
    if (this.#coming?.number === number) return this.#coming.put;
    if (this.#coming !== undefined) this.#fail(this.#coming.number);
    const put = this.#doors.local.beginPut(row);
    this.#coming = { number, put };
    return put;
  }

  #finish(row: Row, put: LocalPut): void {
    const path = put.seal();
    this.#coming = undefined;
    this.#fetched.add(row);
    this.#reached = row.offset + row.size;
    const isShareable = this.#doors.isShareable(put.start, path);
    for (const twin of this.#byOutput.get(row.outputId) ?? []) {
      const isGood = isShareable && this.#doors.accepts(twin);
      this.#settle(twin, { entry: isGood ? put.link({ ...twin, path }) : undefined });
    }
  }

  /** Of this row nothing more is taken. */
  #fail(number: number): void {
    if (this.#coming?.number === number) {
      this.#coming.put.abort();
      this.#coming = undefined;
    }
    if (this.#base?.number === number) this.#doubtBase(this.#base.output);
    const row = this.#rows[number];
    for (const twin of this.#byOutput.get(row?.outputId ?? '') ?? []) this.#settle(twin, 'alone');
  }

  /** What was made of it is wrong: the server's fault, or its own. */
  #doubtBase(output: DeltaBase): void {
    this.#setBase(undefined);
    if (this.#checkedBases.size >= DELTA_BASES_CHECKED_MAX || this.#checkedBases.has(output.outputId)) return;
    this.#checkedBases.add(output.outputId);
    this.#doors.local.dropIfDamaged(output);
  }

  #settle(row: Row, state: Prefetched): void {
    if (row.state !== 'coming') return;
    row.state = state;
    for (const wake of row.waiters.splice(0)) wake();
  }

  /** An empty output is not sent: everybody knows it. */
  #makeEmpty(row: Row): Prefetched {
    if (!this.#doors.accepts(row)) return { entry: undefined };
    const put = this.#doors.local.beginPut(row);
    try {
      return { entry: put.link({ ...row, path: put.seal() }) };
    } catch {
      put.abort();
      return 'alone';
    }
  }

  /** Whether a row will come soon, by the rate of the stream so far. */
  #isNear({ offset, size }: Row): boolean {
    if (this.#vainMs >= PREFETCH_VAIN_MS_MAX) return false;
    const bytesPerMs = this.bytes / Math.max(1, this.#doors.now() - this.#startedMs);
    const first = this.#coming === undefined ? undefined : this.#rows[this.#coming.number];
    const ahead = offset + size - (first?.offset ?? this.#reached);
    return ahead <= Math.max(PREFETCH_NEAR_BYTES, bytesPerMs * PREFETCH_NEAR_MS);
  }

  async #arrival(row: Row): Promise<void> {
    const { now } = this.#doors;
    const fromMs = now();
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, PREFETCH_WAIT_MS);
      row.waiters.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
    if (row.state !== 'coming') return;
    const toMs = now();
    this.#vainMs += toMs - Math.max(fromMs, this.#vainToMs);
    this.#vainToMs = toMs;
  }
}

/** Whether the operating system failed, as for a full disk. */
function isOfSystem(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error;
}
