/**
 * The front's counters per request, as plain numbers. A hot answer takes only some microseconds, and the counters of a
 * metrics library would take a tenth of them.
 */

/** Upper bounds of the request histogram, in seconds. Answers from memory fall into the first bucket. */
export const REQUEST_SECONDS = [0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60] as const;

export class Counters {
  readonly #requests = new Map<string, Map<number, number>>();
  /** By source. Those of outputs are apart, as one build would hide all that is asked of modules. */
  readonly #answers = new Map<string, number>();
  readonly #outputs = new Map<string, number>();
  /** Requests per bucket, not cumulated. The last bucket is above all bounds. */
  readonly buckets: number[] = new Array(REQUEST_SECONDS.length + 1).fill(0);
  seconds = 0;

  /** Counts one request of `route`, answered with `code` from `source` after `ms`. */
  answered(route: string, code: number, source: string, ms: number): void {
    let codes = this.#requests.get(route);
    if (codes === undefined) {
      codes = new Map();
      this.#requests.set(route, codes);
    }
    codes.set(code, (codes.get(code) ?? 0) + 1);
    const answers = route === 'output' ? this.#outputs : this.#answers;
    answers.set(source, (answers.get(source) ?? 0) + 1);
    const seconds = ms / 1000;
    this.seconds += seconds;
    let bucket = 0;
    while (bucket < REQUEST_SECONDS.length && seconds > (REQUEST_SECONDS[bucket] ?? Infinity)) bucket++;
    this.buckets[bucket] = (this.buckets[bucket] ?? 0) + 1;
  }

  get requests(): { route: string; code: number; count: number }[] {
    return Array.from(this.#requests, ([route, codes]) =>
      Array.from(codes, ([code, count]) => ({ route, code, count })),
    ).flat();
  }

  get answers(): { source: string; count: number }[] {
    const sources = new Set([...this.#answers.keys(), ...this.#outputs.keys()]);
    return Array.from(sources, (source) => ({
      source,
      count: this.answersFrom(source) + (this.#outputs.get(source) ?? 0),
    }));
  }

  /** Answers from `source` but for outputs of the build cache. */
  answersFrom(source: string): number {
    return this.#answers.get(source) ?? 0;
  }
}
