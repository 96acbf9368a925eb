/** The options of a bench. */

export type BenchOptions = {
  /** One round instead of three, without the parts that take a minute. */
  readonly isQuick: boolean;
};
