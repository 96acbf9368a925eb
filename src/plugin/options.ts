/**
 * The settings of the cache program: flags read by hand, as each `go` command pays for the start and a parser would double
 * it; then `ASTERA_NAME`, then go-cache-plugin's variables.
 */

import { join, resolve } from 'node:path';
import {
  type BucketSettings,
  parseBucketName,
  parseEndpoint,
  parsePrefix,
  parseRegion,
} from '../bucket/bucket-address.ts';
import { isNamespace, MAIN_NAMESPACE } from '../core/cache-id.ts';
import { parseDuration, parseSize } from '../core/quantity.ts';
import { quote } from '../core/quote.ts';
import { UsageError, unknownName } from '../core/usage-error.ts';
import { os } from './node-modules.ts';
import type { ShareCgo } from './shareable.ts';

export type PluginOptions = {
  readonly cacheDir: string;
  readonly remote: URL | undefined;
  /** A bucket in a server's place. */
  readonly bucket: BucketSettings | undefined;
  /** What is written to the bucket: packs alone, or go-cache-plugin's layout too. Both are read. */
  readonly layout: Layout;
  readonly tokenFile: string | undefined;
  /** Where entries go. Those of the main one are read too. */
  readonly namespace: string;
  /** A file with the private key that signs entries. */
  readonly signKey: string | undefined;
  /** Files with the public keys of those whose entries count. */
  readonly trustKeys: readonly string[];
  readonly remoteTimeoutMs: number;
  /** Bytes of outputs that are fetched for a command before it asks for them; 0: none. */
  readonly prefetchBytesMax: number;
  /** Whether outputs may come, and go, as deltas against older ones. */
  readonly deltas: boolean;
  readonly expiryMs: number;
  readonly bytesMax: number;
  /** Uploads at one time. */
  readonly uploads: number;
  /** Smaller outputs are not uploaded. */
  readonly uploadBytesMin: number;
  readonly closeWaitMs: number;
  /** Whether what cgo makes is shared: it depends on C headers that are in no action's ID. */
  readonly shareCgo: ShareCgo;
  readonly metrics: boolean;
};

export type Layout = 'both' | 'packs';

/** A setting's text, and where it stood where that was not its flag. */
export type FoundText = { readonly text: string; readonly from?: string };

/** Finds a setting by its flag's name. */
export type FindSetting = (name: string) => FoundText | undefined;

type PluginFlag = {
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

export type PluginArgs = {
  readonly flags: Readonly<Record<string, string>>;
  readonly words: readonly string[];
};

/**
 * `--name=value`, `--name value`, with one dash or two. All else is a word.
 *
 * @throws {UsageError} unknown flag, or one without its value
 */
export function readArgs(args: readonly string[], known: readonly PluginFlag[]): PluginArgs {
  const flags: Record<string, string> = {};
  const words: string[] = [];
  for (let at = 0; at < args.length; at++) {
    const arg = args[at] ?? '';
    if (!arg.startsWith('-')) {
      words.push(arg);
      continue;
    }
    const [, name = '', , inline] = FLAG.exec(arg) ?? [];
    const flag = known.find((one) => one.name === name);
    if (flag === undefined) {
      throw unknownName(
        'flag',
        arg,
        known.map((one) => `--${one.name}`),
      );
    }
    const value = inline ?? (flag.isSwitch === true ? 'true' : args[++at]);
    if (value === undefined) throw new UsageError(`flag --${name} needs a value`);
    flags[name] = flag.isList === true && flags[name] !== undefined ? `${flags[name]},${value}` : value;
  }
  return { flags, words };
}

const FLAG = /^--?([a-z][a-z0-9-]*)(=(.*))?$/s;

/** Whether these are arguments as go-cache-plugin's direct mode has them: flags of the cache program, and no command. */
export function isDirectMode(args: readonly string[]): boolean {
  const [, name] = FLAG.exec(args[0] ?? '') ?? [];
  return pluginFlags.some((flag) => flag.name === name) && !args.some((arg) => /^--?plugin(=|$)/.test(arg));
}

/** Flags first, then `ASTERA_NAME`, then go-cache-plugin's variable. An empty variable counts as unset. */
export function findIn(
  flags: Readonly<Record<string, string>>,
  env: Readonly<Record<string, string | undefined>>,
): FindSetting {
  return (name) => {
    const flag = flags[name];
    if (flag !== undefined) return { text: flag };
    const theirs = pluginFlags.find((one) => one.name === name)?.variable;
    for (const from of [`ASTERA_${name.toUpperCase().replaceAll('-', '_')}`, theirs]) {
      const text = from === undefined ? undefined : env[from];
      if (from !== undefined && text !== undefined && text !== '') return { text, from };
    }
    return undefined;
  };
}

/** What a server needs to know of a bucket. @throws {UsageError} as {@link readOptions} */
export function readBucketOptions(
  find: FindSetting,
): Pick<PluginOptions, 'bucket' | 'uploads' | 'uploadBytesMin'> {
  const read = readerOf(find);
  return {
    bucket: readBucket(find, read),
    uploads: read('u', '4', parseUploads),
    uploadBytesMin: read('min-upload-size', '0', parseSize),
  };
}

function readerOf(find: FindSetting): ReadSetting {
  return <T>(name: string, fallback: string, parse: (text: string) => T): T => {
    const { text, from } = find(name) ?? { text: fallback };
    try {
      return parse(text);
    } catch {
      const form = pluginFlags.find((one) => one.name === name)?.form;
      const where = from === undefined || from === `--${name}` ? `--${name}` : `--${name} (from ${from})`;
      throw new UsageError(
        `bad value for ${where}: ${quote(withoutLogin(text).slice(0, 200))}: expected ${form}`,
      );
    }
  };
}

/** @throws {UsageError} a value of another form */
export function readOptions(find: FindSetting): PluginOptions {
  const read = readerOf(find);
  read('c', '1', parseCount);
  return {
    cacheDir: resolve(find('cache-dir')?.text ?? join(home(), '.cache', 'astera')),
    remote: find('remote') && read('remote', '', parseRemote),
    ...readBucketOptions(find),
    layout: read('layout', 'both', parseLayout),
    tokenFile: find('token-file')?.text,
    namespace: read('namespace', MAIN_NAMESPACE, parseNamespace),
    signKey: find('sign-key')?.text,
    trustKeys: read('trust-key', '', parseFiles),
    prefetchBytesMax: read('prefetch', '1GiB', parseSize),
    deltas: read('deltas', 'true', parseSwitch),
    remoteTimeoutMs: read('remote-timeout', '1s', parseDuration),
    expiryMs: read('expiry', '120h', parseDuration),
    bytesMax: read('max-cache-size', '10GiB', parseSize),
    closeWaitMs: read('close-wait', '2s', parseDuration),
    shareCgo: read('share-cgo', 'off', parseShareCgo),
    metrics: read('metrics', 'false', parseSwitch) || read('v', 'false', parseSwitch),
  };
}

/** A URL may have a password before its host. */
function withoutLogin(text: string): string {
  return text.replace(/\/\/.*@/s, '//…@');
}

type ReadSetting = <T>(name: string, fallback: string, parse: (text: string) => T) => T;

/** @throws {UsageError} a value of another form, or a setting that a bucket can't keep */
function readBucket(find: FindSetting, read: ReadSetting): BucketSettings | undefined {
  const region = find('region') && read('region', '', parseRegion);
  const endpoint = find('s3-endpoint-url') && read('s3-endpoint-url', '', parseEndpoint);
  const isPathStyle = read('s3-path-style', 'false', parseSwitch);
  const prefix = read('prefix', '', parsePrefix);
  if (find('bucket') === undefined) return undefined;
  const name = read('bucket', '', parseBucketName);
  for (const [other, instead] of Object.entries(NOT_WITH_BUCKET)) {
    if (find(other) !== undefined) throw new UsageError(`--${other} does not go with --bucket: ${instead}`);
  }
  if (read('share-cgo', 'off', parseShareCgo) === 'same-host')
    throw new UsageError('--share-cgo=same-host does not go with --bucket: its layout tells no hosts apart');
  return { name, region, endpoint, isPathStyle, prefix };
}

const NOT_WITH_BUCKET: Readonly<Record<string, string>> = {
  remote: 'set one of them',
  namespace: 'set another --prefix',
  'sign-key': 'its layout has no place for signatures, so share by a server',
  'trust-key': 'its layout has no place for signatures, so share by a server',
};

function parseRemote(text: string): URL {
  const url = new URL(text);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') throw new Error('neither http nor https');
  return url;
}

function parseNamespace(text: string): string {
  if (!isNamespace(text)) throw new Error('not a namespace');
  return text;
}

function parseFiles(text: string): readonly string[] {
  return text.split(',').filter((path) => path !== '');
}

function parseUploads(text: string): number {
  const count = parseCount(text);
  if (count < 1 || count > 64) throw new Error('out of bounds');
  return count;
}

function parseCount(text: string): number {
  if (!/^[0-9]{1,9}$/.test(text)) throw new Error('no number');
  return Number(text);
}

function parseShareCgo(text: string): ShareCgo {
  if (text !== 'on' && text !== 'same-host' && text !== 'off') throw new Error('none of these');
  return text;
}

function parseLayout(text: string): Layout {
  if (text !== 'both' && text !== 'packs') throw new Error('none of these');
  return text;
}

function parseSwitch(text: string): boolean {
  if (text === 'true' || text === '1') return true;
  if (text === 'false' || text === '0') return false;
  throw new Error('no switch');
}

/** @throws {UsageError} the user has none */
function home(): string {
  try {
    return os().homedir();
  } catch {
    throw new UsageError('cannot find a home directory for the cache: set --cache-dir or HOME');
  }
}
