/**
 * Text that may be shown: names of upstreams without userinfo, and an upstream's own words as one graphic line. Every
 * message of this room is made here.
 */

import type * as http from 'node:http';
import { createRequire } from 'node:module';
import { quote } from '../core/quote.ts';

// Not by `import`: that reads all of its getters, one of which loads Node's own undici with fetch and WebSocket (20 ms).
const { STATUS_CODES }: typeof http = createRequire(import.meta.url)('node:http');

/** An upstream's own words are shown up to here; the `go` command prints 648 bytes in all. */
const LINE_LENGTH_MAX = 400;

/** `text` with the userinfo of every URL in it taken out. */
export function withoutUserinfo(text: string): string {
  return text.replace(/(\/\/)[^/\s"']*@/g, '$1');
}

/** One line of graphic characters, at most 400; empty if nothing of `text` can be shown. */
export function oneLine(text: string): string {
  const flat = withoutUserinfo(text)
    .replace(/[\s\p{C}]+/gu, ' ')
    .trim();
  return flat.length > LINE_LENGTH_MAX ? `${flat.slice(0, LINE_LENGTH_MAX - 1)}…` : flat;
}

/** The request, its upstream and the failure, on one line. */
export function cannotFetch(path: string, upstream: string, why: string): string {
  return `cannot fetch ${quote(path)} from ${upstream}: ${oneLine(why)}`;
}

/** Such as `502 Bad Gateway`, in Node's words and not the upstream's. */
export function statusLine(status: number): string {
  return `${status} ${STATUS_CODES[status] ?? ''}`.trim();
}
