/**
 * Sorts answers by their status: files to read, "later" to try again, and the errors to show.
 * Only 404 and 410 say that a file is not there. A page that comes with them changes nothing: plain web servers send one
 * with each 404. The `go` command reads them the same way.
 */

import { collect } from '../core/collect.ts';
import { Gone, Loop, NotFound, UpstreamFailed } from '../core/errors.ts';
import { contentEncoding, mediaType, retryAfterMs } from './answer.ts';
import type { Exchange, Headers } from './exchange.ts';
import { cannotFetch, oneLine, statusLine } from './redact.ts';
import { Setback } from './setback.ts';

/** A 200, 206 or 416, its body not read yet: read it, or {@link Exchange.abort} it. */
export type Answer = { readonly status: number; readonly headers: Headers; readonly body: Exchange };

/** An error's own words are read to here; one line of it is shown. */
const ERROR_TEXT_BYTES_MAX = 4096;

const LATER: ReadonlySet<number> = new Set([429, 502, 503, 504]);

/** Whether the status says that another try may do better. */
export function isLater(status: number): boolean {
  return LATER.has(status);
}

/** The request and its upstream. `isPart`: by Range. `wordsMs`: an error's own words may take so long. */
export type Asked = {
  readonly path: string;
  readonly upstream: string;
  readonly isPart: boolean;
  readonly wordsMs: number;
};

/**
 * The answer itself, if there is a file in it.
 *
 * @throws {Setback} "later"
 * @throws {NotFound | Gone | Loop | UpstreamFailed} any other status
 */
export async function judged(answer: Answer, { path, upstream, isPart, wordsMs }: Asked): Promise<Answer> {
  const { status, headers, body } = answer;
  if (status === 200 || (isPart && (status === 206 || status === 416))) return answer;
  if (isLater(status)) {
    body.drain();
    throw new Setback('answer', statusLine(status), retryAfterMs(headers));
  }
  throw errorOf(status, await ownWords(answer, wordsMs), (why) => cannotFetch(path, upstream, why));
}

function errorOf(status: number, words: string, message: (why: string) => string): Error {
  if (status === 404) return new NotFound(words || message(statusLine(status)));
  if (status === 410) return new Gone(words || message(statusLine(status)));
  const why = words === '' ? statusLine(status) : `${statusLine(status)}: ${words}`;
  return status === 508 ? new Loop(message(why)) : new UpstreamFailed(message(why));
}

/** The line of plain text that the upstream sent with an error; empty if it sent none, or not in time. */
async function ownWords({ headers, body }: Answer, wordsMs: number): Promise<string> {
  if (mediaType(headers) !== 'text/plain' || contentEncoding(headers) !== undefined) {
    body.drain();
    return '';
  }
  const timer = setTimeout(() => body.abort(), wordsMs);
  try {
    const words = await collect(body, ERROR_TEXT_BYTES_MAX);
    return words === undefined ? '' : oneLine(words.toString());
  } catch (error) {
    if (!(error instanceof Setback)) throw error;
    return '';
  } finally {
    clearTimeout(timer);
  }
}
