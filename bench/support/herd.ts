/** Many clients that each fetch a list of files, once, in a process of their own. */

import { inChild } from './child.ts';

export type Herd = {
  readonly url: string;
  /** The requests of each client, in order: one list a client. */
  readonly lists: readonly (readonly string[])[];
  /** Requests a client has open at one time, each on a connection of its own. */
  readonly parallel: number;
};

export type HerdResult = {
  readonly wallMs: number;
  readonly requests: number;
  /** Failed requests and answers other than 200. */
  readonly errors: number;
  readonly bodyBytes: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
};

export function runHerd(herd: Herd): Promise<HerdResult> {
  return inChild('herd-main.ts', herd);
}
