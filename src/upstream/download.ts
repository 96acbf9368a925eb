/**
 * One file on its way, over one or more answers: the bytes so far, the next request, and the check that an answer
 * belongs to the bytes so far.
 *
 *     here so far   |---------------------------[tail]|
 *     strong ETag, date                         [same]|--- bytes=N-4096-, If-Range, overlap compared
 *     neither                                   [same]|--- bytes=N-4096-, overlap and size compared
 *     Range ignored |------- skipped -----------[same]|--- 200, overlap and size compared
 *
 * A validator counts only where the answer repeats it: some servers ignore If-Range. Bytes that were joined
 * without a repeated strong ETag are marked `isPatched`, so that their content is checked.
 *
 * If none of these holds, the file starts again from 0 and the caller is told. Nobody checks a small file's content:
 * its bytes are joined only under a repeated strong ETag.
 */

import { RESUME_TAIL_BYTES } from '../core/limits.ts';
import type { FetchEvent, Progress, Validator } from '../core/ports.ts';
import {
  contentEncoding,
  contentLength,
  contentRange,
  HTML,
  hasEnd,
  ifRange,
  isChanged,
  isSame,
  isStrong,
  mediaType,
  validatorOf,
} from './answer.ts';
import type { Headers } from './exchange.ts';
import { gunzip } from './gunzip.ts';
import type { Answer } from './judge.ts';
import { RESUME_GAIN_BYTES_MIN } from './limits.ts';
import { Setback } from './setback.ts';
import type { Ask, Range } from './source.ts';
import { Tail } from './tail.ts';
import { afterBeginning, isWebPage } from './web-page.ts';

/** The bytes so far are of another file, or nothing shows that they are of the same one: ask again, from 0. */
export class StartAgain extends Error {
  override readonly name = 'StartAgain';
}

/** The answer is no file for a client. A new try would not help. */
export class BadAnswer extends Error {
  override readonly name = 'BadAnswer';
}

export class Download {
  /** The caller has a `start` event, and so a part of its file. */
  hasBegun = false;
  /** The number of times that the bytes so far had to be thrown away. */
  restarts = 0;
  /** The last answer showed where it ends, by a length, chunks or gzip's own sum. */
  isEndSure = true;
  readonly #bytesMax: number;
  readonly #upstream: string;
  readonly #path: string;
  readonly #isSmall: boolean;
  readonly #tail = new Tail(RESUME_TAIL_BYTES);
  #offset = 0;
  /** The bytes so far when the tries were last counted anew. */
  #markedOffset = 0;
  #size: number | undefined;
  #validator: Validator = {};
  #canRange = true;
  #mustStart = true;

  constructor(
    { path, resume, bytesMax, isSmall }: Omit<Ask, 'signal' | 'via' | 'hasFallback'>,
    upstream: string,
  ) {
    this.#path = path;
    this.#isSmall = isSmall;
    this.#bytesMax = bytesMax;
    this.#upstream = upstream;
    if (resume === undefined || resume.offset === 0 || !isPlausible(resume)) return;
    this.#offset = resume.offset;
    this.#markedOffset = resume.offset;
    this.#size = resume.size;
    this.#validator = resume.validator;
    this.#tail.push(resume.tail);
  }

  /** The range to ask for next; undefined: the whole file. Forgets bytes that nothing could be joined to. */
  next(): Range | undefined {
    if (!this.#canJoin) this.#forget();
    if (this.#offset === 0 || !this.#canRange) return undefined;
    const condition = ifRange(this.#validator);
    if (condition === undefined && this.#tail.length === 0) return undefined;
    return { from: this.#offset - this.#tail.length, ifRange: condition };
  }

  /**
   * Reads an answer to `asked` and yields its new bytes. Returns when the file is whole.
   *
   * @throws {StartAgain} call {@link startAgain} and ask once more
   * @throws {Setback} ask once more for the rest
   * @throws {BadAnswer} a web page, more bytes than promised or allowed, an unknown encoding
   */
  async *take(answer: Answer, asked: Range | undefined): AsyncGenerator<FetchEvent, void, void> {
    try {
      const part = this.#placed(answer, asked);
      if (part === undefined) {
        yield* this.#started();
        return;
      }
      yield* this.#joined(part);
    } finally {
      answer.body.abort();
    }
  }

  /** Whether it has got further by enough bytes since this was last true: the tries are counted anew. */
  hasGained(): boolean {
    if (this.#offset - this.#markedOffset < RESUME_GAIN_BYTES_MIN) return false;
    this.#markedOffset = this.#offset;
    return true;
  }

  /** Forgets the bytes so far. The next `start` event tells the caller. */
  startAgain(): void {
    this.restarts += 1;
    this.#forget();
  }

  #forget(): void {
    this.#offset = 0;
    this.#size = undefined;
    this.#validator = {};
    this.#tail.clear();
    this.#mustStart = true;
  }

  // The body's place in the file; undefined if nothing is missing.
  #placed(answer: Answer, asked: Range | undefined): Part | undefined {
    const { status, headers, body } = answer;
    const encoding = contentEncoding(headers);
    if (encoding !== undefined && encoding !== 'gzip' && encoding !== 'x-gzip') {
      throw new BadAnswer(`encoded though plain was asked for: ${encoding}`);
    }
    const isPlain = encoding === undefined;
    // Ranges of an encoded body count encoded bytes: they cannot be joined to decoded ones.
    if (!isPlain) this.#canRange = false;
    const validator = validatorOf(headers);
    if (status === 416) return this.#placedPastEnd(answer, asked);
    if (status === 206) return this.#placedPart(answer, { asked, validator, isPlain });
    const size = isPlain ? contentLength(headers) : undefined;
    if (this.#offset > 0 && !this.#isSameFile(validator, size)) this.startAgain();
    const isVouched = isSame(this.#validator, validator);
    this.isEndSure = !isPlain || hasEnd(headers);
    this.#learn(validator, size);
    return {
      at: 0,
      end: size,
      body: this.#fileIn(isPlain ? body : gunzip(body), headers),
      isVouched,
      isOpen: false,
    };
  }

  #fileIn(body: AsyncIterable<Uint8Array>, headers: Headers): AsyncIterable<Uint8Array> {
    const isCalledPage = mediaType(headers) === HTML;
    return afterBeginning(body, (beginning) => {
      if (isWebPage(this.#path, beginning, isCalledPage)) {
        throw new BadAnswer('got a web page instead of the file');
      }
    });
  }

  #placedPart(
    { headers, body }: Answer,
    { asked, validator, isPlain }: { asked: Range | undefined; validator: Validator; isPlain: boolean },
  ): Part {
    const range = contentRange(headers);
    const { first, last, size } = range ?? {};
    const length = contentLength(headers);
    const isExact =
      isPlain &&
      first !== undefined &&
      last !== undefined &&
      first === asked?.from &&
      (length === undefined || length === last - first + 1);
    if (!isExact) {
      // An upstream that gets Range wrong once is not asked by Range again in this fetch.
      this.#canRange = false;
      throw new StartAgain('its answer to Range makes no sense');
    }
    if (isChanged(this.#validator, validator) || !agree(this.#size, size))
      throw new StartAgain('the file changed');
    const isVouched = isSame(this.#validator, validator);
    if (!isVouched && !this.#canCompare) throw new StartAgain('nothing says that it is the same file');
    this.isEndSure = true;
    this.#learn(validator, size);
    return { at: first, end: last + 1, body, isVouched, isOpen: true };
  }

  // "Nothing from there on" is the end of the file if the file ends there.
  #placedPastEnd({ headers }: Answer, asked: Range | undefined): undefined {
    const size = contentRange(headers)?.size;
    const isWhole = asked?.from === this.#offset && size === this.#offset && agree(this.#size, size);
    if (!isWhole) throw new StartAgain('the file is shorter than what came of it');
    this.#size = size;
  }

  #isSameFile(validator: Validator, size: number | undefined): boolean {
    if (isChanged(this.#validator, validator) || !agree(this.#size, size)) return false;
    return isSame(this.#validator, validator) || this.#canCompare;
  }

  /** Whether more of the file may be joined to the bytes so far. A small file needs its upstream's strong ETag for that. */
  get #canJoin(): boolean {
    return !this.#isSmall || isStrong(this.#validator.etag);
  }

  get #canCompare(): boolean {
    return !this.#isSmall && this.#tail.length > 0;
  }

  #learn(validator: Validator, size: number | undefined): void {
    this.#validator = { ...this.#validator, ...validator };
    this.#size ??= size;
    if (this.#size !== undefined && this.#size > this.#bytesMax) throw this.#tooLarge();
  }

  async *#joined({ at, end, body, isVouched, isOpen }: Part): AsyncGenerator<FetchEvent, void, void> {
    let position = at;
    const isPatched = this.#offset > 0 && !isVouched;
    let isNew = false;
    for await (const piece of body) {
      const known = Math.min(Math.max(this.#offset - position, 0), piece.byteLength);
      if (known > 0 && !this.#tail.matches(piece.subarray(0, known), position - this.#offset)) {
        throw new StartAgain('the file changed');
      }
      position += piece.byteLength;
      if (end !== undefined && position > end) throw new BadAnswer('more bytes than promised');
      if (position < this.#offset || known === piece.byteLength) continue;
      isNew = true;
      yield* this.#started();
      const event = this.#gained(known === 0 ? piece : piece.subarray(known));
      yield isPatched ? { ...event, isPatched } : event;
    }
    if (position < this.#offset) throw new StartAgain('the file is shorter than what came of it');
    if (end !== undefined && position < end) throw new Setback('cut', 'fewer bytes than promised');
    if (isOpen && this.#size === undefined) {
      // Only a whole answer shows the end, if no part does.
      if (!isNew) this.#canRange = false;
      throw new Setback('cut', 'a part of a file whose size is not said');
    }
    this.#size ??= this.#offset;
    if (this.#offset < this.#size) throw new Setback('cut', 'only a part of what was asked for');
    yield* this.#started();
  }

  *#started(): Generator<FetchEvent, void, void> {
    if (!this.#mustStart) return;
    this.#mustStart = false;
    this.hasBegun = true;
    yield {
      kind: 'start',
      offset: this.#offset,
      size: this.#size,
      validator: this.#validator,
      upstream: this.#upstream,
    };
  }

  #gained(bytes: Uint8Array): FetchEvent & { kind: 'bytes' } {
    this.#offset += bytes.byteLength;
    if (this.#offset > this.#bytesMax) throw this.#tooLarge();
    if (this.#size !== undefined && this.#offset > this.#size)
      throw new BadAnswer('more bytes than promised');
    if (this.#canJoin) this.#tail.push(bytes);
    return { kind: 'bytes', bytes };
  }

  #tooLarge(): BadAnswer {
    return new BadAnswer(`larger than ${this.#bytesMax} bytes`);
  }
}

/** A body and its place in the file: from `at` up to, not with, `end`. */
type Part = {
  readonly at: number;
  readonly end: number | undefined;
  readonly body: AsyncIterable<Uint8Array>;
  /** The answer itself has the strong ETag of the bytes so far. */
  readonly isVouched: boolean;
  /** Its end need not be the file's: an answer to Range may bring less than the rest. */
  readonly isOpen: boolean;
};

function agree(a: number | undefined, b: number | undefined): boolean {
  return a === undefined || b === undefined || a === b;
}

function isPlausible({ offset, size, tail }: Progress): boolean {
  return (
    Number.isSafeInteger(offset) &&
    offset > 0 &&
    tail.byteLength <= offset &&
    (size === undefined || offset <= size)
  );
}
