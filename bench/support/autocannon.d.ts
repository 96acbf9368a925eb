/** The part of autocannon that the bench uses; the package brings no types. */
declare module 'autocannon' {
  type Options = {
    readonly url: string;
    readonly connections: number;
    /** Seconds. */
    readonly duration: number;
    readonly requests: readonly { readonly path: string }[];
    readonly headers?: Readonly<Record<string, string>>;
    /** Seconds. */
    readonly timeout?: number;
  };
  type Result = {
    readonly requests: { readonly total: number };
    readonly latency: { readonly p50: number; readonly p99: number; readonly max: number };
    readonly throughput: { readonly total: number };
    readonly duration: number;
    readonly errors: number;
    readonly non2xx: number;
    readonly '3xx': number;
  };
  function autocannon(options: Options): Promise<Result>;
  export = autocannon;
}
