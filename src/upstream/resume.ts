/**
 * The loop that goes on: asks, takes what comes, and asks for the rest until the file is whole or
 * no try is left. What is asked and whether an answer fits is `download.ts`; how often and when,
 * `patience.ts`.
 */

import { Gone, NotFound, UpstreamFailed } from '../core/errors.ts';
import type { FetchEvent } from '../core/ports.ts';
import { BadAnswer, type Download, StartAgain } from './download.ts';
import type { Answer } from './judge.ts';
import type { Patience } from './patience.ts';
import { cannotFetch } from './redact.ts';
import { finalError, Setback } from './setback.ts';
import type { UpstreamEvents } from './settings.ts';
import type { Ask, Range } from './source.ts';

/** A file that is another one at each try cannot be fetched; three times is no accident. */
const RESTARTS_MAX = 3;

/** Where the answers come from: an `HttpSource`, or a test's. */
export type Opener = {
  readonly name: string;
  /** Asks once. The answer must begin within `waitMs`. */
  open(ask: Ask, range: Range | undefined, waitMs: number): Promise<Answer>;
};

/**
 * @param parts `download` has nothing of the file yet, but what is to be resumed
 * @throws {NotFound | Gone | Loop | UpstreamDown | UpstreamFailed} when finally failed; or the signal's reason
 */
export async function* resumed(
  source: Opener,
  ask: Ask,
  { download, patience, events }: { download: Download; patience: Patience; events: UpstreamEvents },
): AsyncGenerator<FetchEvent, void, void> {
  const { path } = ask;
  let lastSetback: Setback | undefined;
  for (;;) {
    try {
      const range = download.next();
      if (download.hasBegun || range !== undefined) events.resume();
      const answer = await patience.waiting((waitMs) => source.open(ask, range, waitMs));
      yield* download.take(answer, range);
      return;
    } catch (error) {
      ask.signal.throwIfAborted();
      if (error instanceof StartAgain) {
        events.warn(cannotFetch(path, source.name, `${error.message}: starting again`));
        download.startAgain();
      } else if (error instanceof Setback) {
        // "It is down" says less than what brought it down.
        lastSetback = error.kind === 'refused' ? (lastSetback ?? error) : error;
        // Of a small file the caller has nothing before it has all.
        const hasBegun = download.hasBegun && !ask.isSmall;
        const again = await patience.after(error, { hasBegun, hasGained: download.hasGained() });
        if (!again) throw finalError(lastSetback, path, source.name);
      } else throw asSeenFrom(error, { path, upstream: source.name, hasBegun: download.hasBegun });
      if (download.restarts > RESTARTS_MAX) {
        throw new UpstreamFailed(cannotFetch(path, source.name, 'it is another file each time'));
      }
    }
  }
}

type Point = { readonly path: string; readonly upstream: string; readonly hasBegun: boolean };

// A 404 in the middle of a file is no answer to the question whether there is such a file.
function asSeenFrom(error: unknown, { path, upstream, hasBegun }: Point): unknown {
  if (error instanceof BadAnswer) {
    return new UpstreamFailed(cannotFetch(path, upstream, error.message), { cause: error });
  }
  if (hasBegun && (error instanceof NotFound || error instanceof Gone)) {
    return new UpstreamFailed(cannotFetch(path, upstream, `gone in the middle: ${error.message}`));
  }
  return error;
}
