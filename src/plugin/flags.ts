/** The flags of the cache program: their names, their help, and the form of their values. `options.ts` reads them. */

export type PluginFlag = {
  readonly name: string;
  /** go-cache-plugin's variable for it. */
  readonly variable?: string;
  readonly help: string;
  readonly form: string;
  readonly isSwitch?: true;
  /** Given again, it adds to what it had; elsewhere its values have commas between. */
  readonly isList?: true;
};

export const pluginFlags: readonly PluginFlag[] = [
  {
    name: 'cache-dir',
    variable: 'GOCACHE_DIR',
    help: 'local directory (~/.cache/astera)',
    form: 'a directory',
  },
  { name: 'remote', help: 'server that shares the build cache', form: 'http://host:port or https://host' },
  {
    name: 'bucket',
    variable: 'GOCACHE_S3_BUCKET',
    help: 'S3 bucket that shares the build cache without a server, with keys from AWS_ACCESS_KEY_ID or AWS_PROFILE',
    form: 'the name of a bucket, of 3 to 63 characters',
  },
  {
    name: 'region',
    variable: 'GOCACHE_S3_REGION',
    help: "the bucket's region (AWS_REGION, else us-east-1)",
    form: 'a region such as eu-central-1',
  },
  {
    name: 's3-endpoint-url',
    variable: 'GOCACHE_S3_ENDPOINT_URL',
    help: 'another S3 server than AWS',
    form: 'http://host:port or https://host',
  },
  {
    name: 's3-path-style',
    variable: 'GOCACHE_S3_PATH_STYLE',
    help: "put the bucket's name into the path, not before the host",
    form: 'true or false',
    isSwitch: true,
  },
  {
    name: 'prefix',
    variable: 'GOCACHE_KEY_PREFIX',
    help: 'of all keys in the bucket (none)',
    form: 'letters, digits and ._-/, such as team/go',
  },
  {
    name: 'layout',
    help: "what is written to the bucket: packs, or go-cache-plugin's objects too (both)",
    form: 'both or packs',
  },
  { name: 'token-file', help: 'file with the token for uploads', form: 'a file' },
  {
    name: 'namespace',
    help: 'keep the results of a branch or team apart; those of the main namespace are read too (main)',
    form: 'letters, digits and ._-/, such as pr/7',
  },
  {
    name: 'sign-key',
    help: 'sign uploads with this ed25519 key in PEM, and use what it has signed alone',
    form: 'a file',
  },
  {
    name: 'trust-key',
    help: 'use only what this public key, or another one that is given so, has signed',
    form: 'files, with commas between',
    isList: true,
  },
  {
    name: 'prefetch',
    help: 'fetch up to so much of what the go command will ask for before it asks; 0: nothing (1GiB)',
    form: 'a size such as 1GiB',
  },
  {
    name: 'deltas',
    help: 'over a line, get and upload only what has changed of a package (true)',
    form: 'true or false',
    isSwitch: true,
  },
  { name: 'remote-timeout', help: 'no answer for so long is a miss (1s)', form: 'a duration such as 1s' },
  {
    name: 'expiry',
    variable: 'GOCACHE_EXPIRY',
    help: 'remove what is not used for so long (120h)',
    form: 'a duration such as 120h',
  },
  { name: 'max-cache-size', help: 'remove the least used past it (10GiB)', form: 'a size such as 10GiB' },
  {
    name: 'u',
    variable: 'GOCACHE_S3_CONCURRENCY',
    help: 'uploads at one time (4)',
    form: 'a number from 1 to 64',
  },
  {
    name: 'min-upload-size',
    variable: 'GOCACHE_MIN_SIZE',
    help: 'keep smaller outputs to this machine (0)',
    form: 'a size such as 4KiB',
  },
  {
    name: 'close-wait',
    help: 'how long uploads may hold up the go command at its end (2s)',
    form: 'a duration such as 2s',
  },
  {
    name: 'share-cgo',
    help: 'share what cgo makes: among machines with the same C headers, or among all (off)',
    form: 'off, same-host or on',
  },
  {
    name: 'metrics',
    variable: 'GOCACHE_METRICS',
    help: 'print a summary to stderr',
    form: 'true or false',
    isSwitch: true,
  },
  {
    name: 'v',
    variable: 'GOCACHE_VERBOSE',
    help: 'the same as --metrics',
    form: 'true or false',
    isSwitch: true,
  },
  {
    name: 'c',
    variable: 'GOCACHE_CONCURRENCY',
    help: 'taken from go-cache-plugin, without use: go itself bounds its requests',
    form: 'a number',
  },
];

/** The flags of `connect`: of the local directory that it goes on with alone. */
export const connectFlags: readonly PluginFlag[] = pluginFlags.filter(({ name }) =>
  ['cache-dir', 'expiry', 'max-cache-size'].includes(name),
);
