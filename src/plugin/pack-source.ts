/**
 * Packs as a prefetch takes them: chunks are fetched a few at a time, the one that is needed first before all others, and
 * handed on in that order. What is wrong with a chunk costs the outputs that were to come from it. The layout: `pack-index.ts`.
 */

import type { IncomingMessage } from 'node:http';
import type { PassThrough } from 'node:stream';
import { stream } from '../core/node-modules.ts';
import { ChunkReading, type TakeBytes } from '../packs/chunk-reading.ts';
import { type PackChunk, type PackRow, shortId } from '../packs/pack-index.ts';
import { type PackWish, type Part, planReading } from '../packs/reading-plan.ts';
import { ZstdUnpacker } from '../packs/zstd-streams.ts';
import { PACK_AHEAD_BYTES_MAX, PACK_AHEAD_CHUNKS_MAX, PACK_TRIES } from './limits.ts';
import type { PrefetchSource } from './prefetch.ts';
import type { StreamSink } from './session-stream.ts';

export type PackDoors = {
  /** Opens a chunk's object; undefined: it is gone. @throws {Error} the bucket failed */
  readonly open: (chunk: PackChunk) => Promise<IncomingMessage | undefined>;
  /** Takes so many bytes of what all sources may hold ahead, or says that there are not so many left. */
  readonly hold: (bytes: number) => boolean;
  readonly release: (bytes: number) => void;
  /** A chunk is gone, or not what its name says. */
  readonly onWrongChunk: (chunk: PackChunk) => void;
  /** What came for a row is not the output that it names. */
  readonly onWrongRow: (row: PackRow) => void;
  readonly onFailure: (error: unknown) => void;
};

/** Settles when the object's body is on its way; up to PACK_AHEAD_BYTES_MAX it comes whole, whether anybody takes it or not. */
type Opened = { readonly body: Promise<PassThrough | undefined>; readonly heldBytes: number };

export class PackSource implements PrefetchSource {
  readonly #doors: PackDoors;
  readonly #parts: readonly Part[];
  /** As the sink knows them: by their number. */
  readonly #rows: readonly PackRow[];
  readonly #apart: ReadonlySet<string>;
  readonly #opened = new Map<Part, Opened>();
  readonly #answers = new Set<IncomingMessage>();
  readonly #unpacker = new ZstdUnpacker();
  #isClosed = false;

  constructor(wish: PackWish, doors: PackDoors) {
    this.#doors = doors;
    this.#apart = new Set(wish.index.apart);
    const { parts, others, wrong } = planReading(wish);
    for (const row of wrong) doors.onWrongRow(row);
    this.#parts = parts;
    this.#rows = [...parts.flatMap(({ rows }) => rows), ...others];
  }

  /** Whether no machine takes an action's output from another one. */
  rulesOut(actionId: string): boolean {
    return this.#apart.has(shortId(actionId));
  }

  onWrong(number: number): void {
    const row = this.#rows[number];
    if (row !== undefined) this.#doors.onWrongRow(row);
  }

  /** @throws {Error} the bucket failed */
  async read(sink: StreamSink): Promise<void> {
    sink.onIndex(this.#rows);
    const numbers = new Map(this.#rows.map((row, number) => [row, number]));
    for (const [at, part] of this.#parts.entries()) {
      if (this.#isClosed) return;
      this.#openFrom(at);
      const left = await this.#readPart(part, (row, bytes) => sink.onBytes(numbers.get(row) ?? 0, bytes));
      for (const row of left) sink.onGone(numbers.get(row) ?? 0);
    }
  }

  close(): void {
    this.#isClosed = true;
    for (const answer of this.#answers) answer.destroy();
    this.#unpacker.close();
    for (const part of this.#opened.keys()) this.#release(part);
  }

  /** This part, and some that follow. */
  #openFrom(at: number): void {
    for (const part of this.#parts.slice(at, at + PACK_AHEAD_CHUNKS_MAX)) {
      if (this.#opened.has(part)) continue;
      const isNext = part === this.#parts[at];
      const bytes = isNext ? 0 : part.chunk.storedBytes;
      if (!isNext && !this.#doors.hold(bytes)) return;
      const body = this.#open(part.chunk);
      body.catch(() => {}); // Whoever reads the part is told.
      this.#opened.set(part, { body, heldBytes: bytes });
    }
  }

  async #open(chunk: PackChunk): Promise<PassThrough | undefined> {
    const answer = await this.#doors.open(chunk);
    if (answer === undefined) return undefined;
    if (this.#isClosed || Number(answer.headers['content-length']) !== chunk.storedBytes) {
      answer.destroy();
      return undefined;
    }
    this.#answers.add(answer);
    const { PassThrough: Buffered, pipeline } = stream();
    // What is read ahead is never longer. One that is read now need not come faster than that.
    const highWaterMark = Math.min(chunk.storedBytes, PACK_AHEAD_BYTES_MAX);
    return pipeline(answer, new Buffered({ highWaterMark }), () => {
      this.#answers.delete(answer); // What broke it, its reader is told.
    });
  }

  #release(part: Part): void {
    this.#doors.release(this.#opened.get(part)?.heldBytes ?? 0);
    this.#opened.delete(part);
  }

  /** @returns the rows that do not come. @throws {Error} the bucket failed */
  async #readPart(part: Part, take: TakeBytes): Promise<readonly PackRow[]> {
    const reading = new ChunkReading(part, this.#unpacker, take);
    for (let tries = 1; ; tries++) {
      try {
        const body = await (this.#opened.get(part)?.body ?? this.#open(part.chunk));
        const isGood = body !== undefined && (await reading.read(body));
        // Of one that was given up midway nobody knows.
        if (!isGood && !this.#isClosed) this.#doors.onWrongChunk(part.chunk);
        return reading.left;
      } catch (error) {
        if (tries < PACK_TRIES && !this.#isClosed) continue;
        if (!this.#isClosed) this.#doors.onFailure(error);
        throw error;
      } finally {
        this.#release(part);
      }
    }
  }
}
