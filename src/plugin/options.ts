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
import { os } from '../core/node-modules.ts';
import { parseDuration, parseSize } from '../core/quantity.ts';
import { quote } from '../core/quote.ts';
import { UsageError, unknownName } from '../core/usage-error.ts';
import { type PluginFlag, pluginFlags } from './flags.ts';
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
): Pick<PluginOptions, 'bucket' | 'uploads' | 'uploadBytesMin' | 'layout'> {
  const read = readerOf(find);
  return {
    bucket: readBucket(find, read),
    uploads: read('u', '4', parseUploads),
    uploadBytesMin: read('min-upload-size', '0', parseSize),
    layout: read('layout', 'both', parseLayout),
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
