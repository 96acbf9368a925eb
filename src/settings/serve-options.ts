/**
 * The flags of `serve`: name, help and default of each, and nothing else, as `--help` loads this.
 * `config.ts` says where their values come from and how they are read.
 */

/** One setting, as flag `--name`, as `ASTERA_NAME` and as `name = value` in a file. */
export type ServeOption = {
  readonly name: string;
  readonly help: string;
  /** Completes "expected …" in the error about a bad value. */
  readonly form: string;
  /** A text, read like any other value; undefined where `help` says what counts instead. */
  readonly fallback?: string;
  /** A switch: the flag alone means `true`. */
  readonly isSwitch?: true;
};

/** By the name of the Config field each one sets. */
export const serveOptions = {
  addr: {
    name: 'addr',
    help: 'listen address',
    form: 'an address such as :8080, 127.0.0.1:0, [::1]:80 or unix:PATH',
    fallback: ':8080',
  },
  dbPath: {
    name: 'db',
    help: 'the SQLite file that holds everything',
    form: 'a file',
    fallback: 'astera.db',
  },
  upstream: {
    name: 'upstream',
    help: 'where to fetch from, in the form of GOPROXY [default: GOPROXY, else what "go env" says]',
    form: 'a list such as https://proxy.example,direct',
  },
  privatePatterns: {
    name: 'private',
    help: 'patterns of private modules: the default of GONOPROXY and GONOSUMDB [default: GOPRIVATE]',
    form: 'comma-separated patterns such as *.corp.example,github.com/me',
  },
  listTtlMs: {
    name: 'list-ttl',
    help: 'how long version lists and branches are fresh',
    form: 'a duration such as 90s, 5m or 720h',
    fallback: '5m',
  },
  negativeTtlMs: {
    name: 'negative-ttl',
    help: 'how long a 404 is fresh',
    form: 'a duration such as 90s, 5m or 720h',
    fallback: '1m',
  },
  staleWaitMs: {
    name: 'stale-wait',
    help: 'how long an upstream may take before the stored answer goes out',
    form: 'a duration such as 500ms or 1.5s, up to 1h',
    fallback: '1.5s',
  },
  clientStallMs: {
    name: 'client-stall',
    help: 'a client that takes no byte for so long is cut off',
    form: 'a duration such as 60s, up to 24h and not 0',
    fallback: '60s',
  },
  firstByteWaitMs: {
    name: 'first-byte-wait',
    help: 'how long an upstream may take to begin its answer',
    form: 'a duration such as 5m, up to 24h and not 0',
    fallback: '5m',
  },
  offline: {
    name: 'offline',
    help: 'never go out: answer from what is stored',
    form: 'true or false',
    isSwitch: true,
  },
  cacheBytesMax: {
    name: 'cache-memory',
    help: 'memory for answers given lately',
    form: 'a size such as 500MB or 64MiB',
    fallback: '64MiB',
  },
  cacheTtlMs: {
    name: 'cache-ttl',
    help: 'how long they stay there',
    form: 'a duration such as 60s or 10m, up to 576h',
    fallback: '60s',
  },
  cacheWeakBytesMax: {
    name: 'cache-weak',
    help: 'more memory, which the garbage collector may take back',
    form: 'a size such as 500MB or 64MiB',
    fallback: '64MiB',
  },
  readers: {
    name: 'readers',
    help: 'threads that read the store [default: cores - 1, at least 1]',
    form: 'a number from 1 to 64',
  },
  verify: {
    name: 'verify',
    help: 'check downloads against the checksum database: off, store (keep only what it confirms), strict (serve only that)',
    form: 'off, store or strict',
    fallback: 'store',
  },
  sumdb: {
    name: 'sumdb',
    help: 'checksum databases to proxy, in the form of GOSUMDB, or off [default: GOSUMDB, else sum.golang.org]',
    form: 'a list such as sum.golang.org or name+hash+key https://host.example',
  },
  pprof: {
    name: 'pprof',
    help: 'give CPU and heap profiles at /debug/pprof/',
    form: 'true or false',
    isSwitch: true,
  },
  importLocalCache: {
    name: 'import-local-cache',
    help: 'at the start, take what Go has downloaded on this machine',
    form: 'true or false',
    isSwitch: true,
  },
  localCacheDir: {
    name: 'local-cache-dir',
    help: 'where that is [default: $(go env GOMODCACHE)/cache/download]',
    form: 'a directory',
  },
  logLevel: {
    name: 'log-level',
    help: 'debug (a line for each request), info, warn or error',
    form: 'debug, info, warn or error',
    fallback: 'info',
  },
} as const satisfies Record<string, ServeOption>;
