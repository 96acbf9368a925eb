/** The functions of one member of an upstream list. `proxy-list.ts` asks the members in order. */

import type { FetchEvent, Progress } from '../core/ports.ts';

/** One fetch, as a member sees it. */
export type Ask = {
  /** Checked and escaped, below the member's root. */
  readonly path: string;
  readonly bytesMax: number;
  readonly resume: Progress | undefined;
  /**
   * A small file, wanted as a whole. Its bytes must come at a certain rate, and nobody checks its content later. So its
   * parts are joined only under a strong ETag.
   */
  readonly isSmall: boolean;
  /** The whole `Via` header to send. */
  readonly via: string;
  /** If this member fails for any reason, another one is asked. So a few tries are enough. */
  readonly hasFallback: boolean;
  readonly signal: AbortSignal;
};

/** A part of a file, to be asked for by Range. */
export type Range = { readonly from: number; readonly ifRange: string | undefined };

export type Source = {
  /** For logs and errors: the host, no userinfo. */
  readonly name: string;
  readonly isDown: boolean;
  /** See `Upstream.stream`. Throws ServeErrors only, or the signal's reason. */
  fetch(ask: Ask): AsyncGenerator<FetchEvent, void, void>;
  /** The same file in one array, whose buffer is its own. Fails as `fetch` does. */
  whole(ask: Ask): Promise<Uint8Array>;
  /** The file's size, if it is known without reading the file. */
  head(ask: Ask): Promise<number | undefined>;
};

/** All bytes of a fetch in one array with a buffer of its own, so that it can be moved to another thread. */
export async function joined(events: AsyncIterable<FetchEvent>): Promise<Uint8Array> {
  let pieces: Uint8Array[] = [];
  for await (const event of events) {
    if (event.kind === 'bytes') pieces.push(event.bytes);
    else pieces = [];
  }
  const bytes = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.byteLength, 0));
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.byteLength;
  }
  return bytes;
}
