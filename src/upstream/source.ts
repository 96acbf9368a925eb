/** What a member of an upstream list can do; `proxy-list.ts` walks over these. */

import type { FetchEvent, Progress } from '../core/ports.ts';

/** One fetch, as a member sees it. */
export type Ask = {
  /** Checked and escaped, below the member's root. */
  readonly path: string;
  readonly bytesMax: number;
  readonly resume: Progress | undefined;
  /** A small file, wanted as a whole: its bytes must come at a certain rate. */
  readonly isSmall: boolean;
  /** The whole `Via` header to send. */
  readonly via: string;
  /** Another member is asked if this one fails, whatever the reason: few tries will do. */
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
  /** The file's size, if it is known without reading the file. */
  head(ask: Ask): Promise<number | undefined>;
};
