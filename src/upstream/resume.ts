/**
 * The loop that resumes: it asks, takes the bytes that come, and asks for the rest until the file is whole or no try is
 * left. `download.ts` knows the next request and checks its answer; `patience.ts` counts tries and waits.
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

/** The source of the answers: an `HttpSource`, or a test's. */
export type Opener = {
  readonly name: string;
  /** Asks once. The answer must begin within `waitMs`. */
  open(ask: Ask, range: Range | undefined, waitMs: number): Promise<Answer>;
};

/**
 * @param parts `download` has nothing of the file yet, except the part that is to be resumed
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
        // The first failure says more than "it is down".
        lastSetback = error.kind === 'refused' ? (lastSetback ?? error) : error;
        // The caller gets a small file only as a whole.
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

// A 404 in the middle of a file does not say that there is no such file.
function asSeenFrom(error: unknown, { path, upstream, hasBegun }: Point): unknown {
  if (error instanceof BadAnswer) {
    return new UpstreamFailed(cannotFetch(path, upstream, error.message), { cause: error });
  }
  if (hasBegun && (error instanceof NotFound || error instanceof Gone)) {
    return new UpstreamFailed(cannotFetch(path, upstream, `gone in the middle: ${error.message}`));
  }
  return error;
}
