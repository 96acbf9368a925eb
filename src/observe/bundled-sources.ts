/**
 * Which source a place in our compiled code is of.
 *
 * A file of `dist` has many sources, and esbuild writes a line before each: `// src/front/server.ts`. Packages of a bundle
 * come from below `.cache`. Where `tsc` made `dist`, each file has one source.
 */

import { readFileSync } from 'node:fs';

type Start = { readonly lineNumber: number; readonly source: string };

export class BundledSources {
  readonly #dist: string;
  readonly #starts = new Map<string, readonly Start[]>();

  /** @param dist its path, with a slash at its end */
  constructor(dist: string) {
    this.#dist = dist;
  }

  /**
   * @param path absolute
   * @param lineNumber from 0, as V8 counts
   * @returns as below the checkout, such as `src/front/server.ts`; undefined for code without a source, and outside of `dist`
   */
  sourceOf(path: string, lineNumber: number): string | undefined {
    if (!path.startsWith(this.#dist)) return undefined;
    let starts = this.#starts.get(path);
    if (starts === undefined) {
      starts = startsIn(path);
      this.#starts.set(path, starts);
    }
    if (starts.length === 0) return `src/${path.slice(this.#dist.length).replace(/\.js$/, '.ts')}`;
    return starts.findLast((start) => start.lineNumber <= lineNumber)?.source;
  }
}

/** In order. None where the file can't be read. */
function startsIn(path: string): Start[] {
  let text = '';
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    return [];
  }
  return text.split('\n').flatMap((line, lineNumber) => {
    const source = /^\/\/ ((?:src|node_modules|\.cache)\/\S+)$/.exec(line)?.[1];
    return source === undefined ? [] : [{ lineNumber, source }];
  });
}
