/** What a bench is told. */

export type BenchOptions = {
  /** One round where others take three, and not what takes a minute. */
  readonly isQuick: boolean;
};
