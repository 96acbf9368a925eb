/** The cache program's flags that a server with a bucket takes too. */

/** Flags that say which bucket, and how to use it: with `--plugin` they are the plugin server's too. */
export const BUCKET_FLAGS: ReadonlySet<string> = new Set([
  'bucket',
  'region',
  's3-endpoint-url',
  's3-path-style',
  'prefix',
  'layout',
  'u',
  'min-upload-size',
]);
