/**
 * The flags of `serve`: their names, help and defaults. It holds nothing else, because `--help` loads it.
 * `config.ts` reads their values.
 */

/** One setting, as flag `--name`, as `ASTERA_NAME` and as `name = value` in a file. */
export type ServeOption = {
  readonly name: string;
  readonly help: string;
  /** Completes "expected …" in the error about a bad value. */
  readonly form: string;
  /** The default as text, parsed like any other value. Undefined if `help` describes the default. */
  readonly fallback?: string;
  /** A switch: the flag alone means `true`. */
  readonly isSwitch?: true;
  /** If it is given again, its values add up. */
  readonly isList?: true;
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
    help: 'proxies to fetch from, in the form of GOPROXY [default: GOPROXY, else that of "go env"]',
    form: 'a list such as https://proxy.example,direct',
  },
  routes: {
    name: 'route',
    help: 'proxies for modules that match a pattern, in the place of --upstream; the first that matches counts',
    form: 'comma-separated routes such as corp.example/*=https://proxy.corp.example,github.com/acme=off',
    isList: true,
  },
  privatePatterns: {
    name: 'private',
    help: 'patterns of private modules: the default of GONOPROXY and GONOSUMDB [default: GOPRIVATE]',
    form: 'comma-separated patterns such as *.corp.example,github.com/me',
  },
  gitMappings: {
    name: 'git',
    help: 'where the Git repositories of private modules are, for hosts that answer no ?go-get=1; off: never use Git',
    form: 'off, or comma-separated mappings such as git.corp.example/*=ssh://git@git.corp.example/*',
    fallback: '',
  },
  gitDir: {
    name: 'git-dir',
    help: 'the directory for copies of the Git repositories of private modules [default: beside --db]',
    form: 'a directory',
  },
  insecurePatterns: {
    name: 'insecure',
    help: 'patterns of private modules whose hosts may be asked over http, and repositories read over http and git',
    form: 'comma-separated patterns such as *.corp.example',
    fallback: '',
  },
  loginPatterns: {
    name: 'require-login',
    help: 'patterns of public modules that need a login with the scope read, or a network of --private-allow; * is all',
    form: 'comma-separated patterns as in GOPRIVATE',
  },
  privateNetworks: {
    name: 'private-allow',
    help: 'networks whose clients may read private modules, and those of --require-login, without a login; loopback is this machine, none is nobody',
    form: 'comma-separated networks such as loopback,192.168.1.0/24,fd00::/8, or none',
    fallback: 'loopback',
  },
  hosts: {
    name: 'hosts',
    help: "more names that clients may use in the URL, beside this machine's own and those that nobody can own on the Internet",
    form: 'comma-separated names such as goproxy.example.com,*.corp.example, or * for any',
  },
  tlsCert: {
    name: 'tls-cert',
    help: 'serve https with this certificate and those that signed it, in PEM; SIGHUP reads it again',
    form: 'a file',
  },
  tlsKey: {
    name: 'tls-key',
    help: 'the private key of --tls-cert, in PEM',
    form: 'a file',
  },
  authFile: {
    name: 'auth-file',
    help: 'the file of users and tokens that "astera user" writes: they may read modules from everywhere, use the build cache, or see metrics; SIGHUP reads it again',
    form: 'a file',
  },
  oidcIssuer: {
    name: 'oidc-issuer',
    help: 'OpenID Connect issuer whose tokens log in, by the rules in --auth-file; for CI',
    form: 'an https URL, as the tokens name it',
  },
  oidcAudience: {
    name: 'oidc-audience',
    help: 'the audience that tokens of --oidc-issuer must be made out to',
    form: 'a text such as astera',
  },
  minAge: {
    name: 'min-age',
    help: 'versions of public modules that are younger are in no list, and not the latest; SIGHUP reads it again from --config',
    form: 'an age such as 7d, with others for some modules: 7d,corp.example/*=0s,golang.org/x=36h',
    fallback: '',
  },
  minAgeExact: {
    name: 'min-age-exact',
    help: 'off: a version that is asked for by its exact name, or by its commit, may be younger than --min-age',
    form: 'on or off',
    fallback: 'on',
  },
  allow: {
    name: 'allow',
    help: 'patterns of versions that are given whatever --deny and --min-age say; SIGHUP reads it again from --config',
    form: 'comma-separated patterns such as corp.example/*,example.com/x@v1.2.3',
    fallback: '',
    isList: true,
  },
  deny: {
    name: 'deny',
    help: 'patterns of versions that are never given, stored or not; SIGHUP reads it again from --config',
    form: 'comma-separated patterns such as example.com/y,example.com/x@<v1.2.3',
    fallback: '',
    isList: true,
  },
  policyFile: {
    name: 'policy',
    help: 'a file of more patterns, one a line: allow PATTERN, or deny PATTERN REASON; SIGHUP reads it again',
    form: 'a file',
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
    help: 'how long to wait for an upstream before the stored answer is served',
    form: 'a duration such as 500ms or 1.5s, up to 1h',
    fallback: '1.5s',
  },
  clientStallMs: {
    name: 'client-stall',
    help: 'disconnect a client that reads nothing for so long',
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
    help: 'never use the network: answer from the store only',
    form: 'true or false',
    isSwitch: true,
  },
  cacheBytesMax: {
    name: 'cache-memory',
    help: 'memory for recent answers',
    form: 'a size such as 500MB or 64MiB',
    fallback: '64MiB',
  },
  cacheTtlMs: {
    name: 'cache-ttl',
    help: 'how long recent answers stay in memory',
    form: 'a duration such as 60s or 10m, up to 576h',
    fallback: '60s',
  },
  cacheWeakBytesMax: {
    name: 'cache-weak',
    help: 'extra memory for small files, which the garbage collector may take back',
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
    help: 'check downloads against the checksum database: off, store (keep only confirmed files), strict (serve only confirmed files)',
    form: 'off, store or strict',
    fallback: 'store',
  },
  sumdb: {
    name: 'sumdb',
    help: 'checksum databases to proxy, in the form of GOSUMDB, or off [default: GOSUMDB, else sum.golang.org]',
    form: 'a list such as sum.golang.org or name+hash+key https://host.example',
  },
  vulndb: {
    name: 'vulndb',
    help: 'vulnerability database to proxy at /vulndb, or off [default: GOVULNDB, else https://vuln.go.dev]',
    form: 'a URL such as https://vuln.go.dev or file:///srv/vulndb, or off',
  },
  storeBytesMax: {
    name: 'max-size',
    help: 'drop the least recently used zips and build outputs when the file of --db reaches this size [default: drop no zips]',
    form: 'a size such as 2GB or 20GiB, at least 32MiB',
  },
  pinPatterns: {
    name: 'pin',
    help: 'patterns of modules whose zips --max-size never drops; import stands for all that "astera import" brings; private modules are pinned anyway',
    form: 'comma-separated patterns as in GOPRIVATE, or import',
    fallback: '',
  },
  buildCacheBytesMax: {
    name: 'max-build-cache',
    help: 'remove the least used build outputs above this size; never those used within a day unless the disk is full',
    form: 'a size such as 500MB or 20GiB',
    fallback: '20GiB',
  },
  buildCacheExpiryMs: {
    name: 'build-cache-expiry',
    help: 'remove build outputs that were not used for so long',
    form: 'a duration such as 720h, at least 25h',
    fallback: '720h',
  },
  cacheReadNeedsLogin: {
    name: 'cache-read-token',
    help: 'give the build cache only to clients with a token of the scope cache-read, and to programs on this machine',
    form: 'true or false',
    isSwitch: true,
  },
  bucketPrivate: {
    name: 'bucket-private',
    help: 'write private modules to --bucket too, for all who can read it, and read them from there',
    form: 'true or false',
    isSwitch: true,
  },
  pprof: {
    name: 'pprof',
    help: 'serve CPU and heap profiles at /debug/pprof/',
    form: 'true or false',
    isSwitch: true,
  },
  importLocalCache: {
    name: 'import-local-cache',
    help: "at the start, import this machine's Go module cache",
    form: 'true or false',
    isSwitch: true,
  },
  localCacheDir: {
    name: 'local-cache-dir',
    help: 'the directory for --import-local-cache [default: $(go env GOMODCACHE)/cache/download]',
    form: 'a directory',
  },
  logLevel: {
    name: 'log-level',
    help: 'debug (a line for each request), info, warn or error',
    form: 'debug, info, warn or error',
    fallback: 'info',
  },
} as const satisfies Record<string, ServeOption>;

/** Of the plugin server, which `loadPlugin` reads; the flags of its cache are those of the cache program. */
export const pluginServerOptions = [
  {
    name: 'plugin',
    help: "serve the build cache to this machine's go commands, see connect; without --addr and --http no HTTP port is opened",
    form: 'a port of loopback such as 5930, or unix:PATH',
  },
  {
    name: 'http',
    help: 'the same as --addr',
    form: 'an address such as :8080, 127.0.0.1:0, [::1]:80 or unix:PATH',
  },
  {
    name: 'modproxy',
    help: 'accepted for go-cache-plugin; it changes nothing, as modules are served on every HTTP port',
    form: 'true or false',
    isSwitch: true,
  },
] as const satisfies readonly ServeOption[];
