/**
 * The flags of `astera cacheprog`, read by hand: each `go` command pays for the start, and a parser would double it.
 */

import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseDuration, parseSize } from '../core/quantity.ts';
import { UsageError, unknownName } from '../core/usage-error.ts';

export type PluginOptions = {
  readonly cacheDir: string;
  readonly remote: URL | undefined;
  readonly tokenFile: string | undefined;
  readonly remoteTimeoutMs: number;
  readonly expiryMs: number;
  readonly bytesMax: number;
  /** Uploads at one time. */
  readonly uploads: number;
  /** Smaller outputs are not uploaded. */
  readonly uploadBytesMin: number;
  readonly closeWaitMs: number;
  /** Whether what cgo makes is shared: it depends on C headers that are in no action's ID. */
  readonly shareCgo: boolean;
  readonly metrics: boolean;
};

type PluginFlag = {
  readonly name: string;
  readonly help: string;
  readonly form: string;
  readonly isSwitch?: true;
};

export const pluginFlags: readonly PluginFlag[] = [
  { name: 'cache-dir', help: 'local directory (~/.cache/astera)', form: 'a directory' },
  { name: 'remote', help: 'server that shares the build cache', form: 'http://host:port' },
  { name: 'token-file', help: 'file with the token for uploads', form: 'a file' },
  { name: 'remote-timeout', help: 'no answer for so long is a miss (1s)', form: 'a duration such as 1s' },
  { name: 'expiry', help: 'remove what is not used for so long (120h)', form: 'a duration such as 120h' },
  { name: 'max-cache-size', help: 'remove the least used past it (10GiB)', form: 'a size such as 10GiB' },
  { name: 'u', help: 'uploads at one time (4)', form: 'a number from 1 to 64' },
  { name: 'min-upload-size', help: 'keep smaller outputs to this machine (0)', form: 'a size such as 4KiB' },
  {
    name: 'close-wait',
    help: 'how long uploads may hold up the go command at its end (2s)',
    form: 'a duration such as 2s',
  },
  {
    name: 'share-cgo',
    help: 'share what cgo makes: only among machines with the same C headers (off)',
    form: 'on or off',
  },
  { name: 'metrics', help: 'print a summary to stderr', form: 'true or false', isSwitch: true },
];

/** `--name=value`, `--name value`, with one dash or two. @throws {UsageError} */
export function readArgs(args: readonly string[]): Record<string, string> {
  const flags: Record<string, string> = {};
  for (let at = 0; at < args.length; at++) {
    const [, name = '', , inline] = /^--?([a-z][a-z-]*)(=(.*))?$/s.exec(args[at] ?? '') ?? [];
    const flag = pluginFlags.find((one) => one.name === name);
    if (flag === undefined) {
      throw unknownName(
        'flag',
        args[at] ?? '',
        pluginFlags.map((one) => `--${one.name}`),
      );
    }
    const value = inline ?? (flag.isSwitch === true ? 'true' : args[++at]);
    if (value === undefined) throw new UsageError(`flag --${name} needs a value`);
    flags[name] = value;
  }
  return flags;
}

/** @throws {UsageError} a value of another form */
export function readOptions(flags: Readonly<Record<string, string>>): PluginOptions {
  const read = <T>(name: string, fallback: string, parse: (text: string) => T): T => {
    const text = flags[name] ?? fallback;
    try {
      return parse(text);
    } catch {
      const form = pluginFlags.find((one) => one.name === name)?.form;
      throw new UsageError(
        `bad value for --${name}: ${JSON.stringify(text.slice(0, 200))}: expected ${form}`,
      );
    }
  };
  return {
    cacheDir: resolve(flags['cache-dir'] ?? join(home(), '.cache', 'astera')),
    remote: flags.remote === undefined ? undefined : read('remote', '', parseRemote),
    tokenFile: flags['token-file'],
    remoteTimeoutMs: read('remote-timeout', '1s', parseDuration),
    expiryMs: read('expiry', '120h', parseDuration),
    bytesMax: read('max-cache-size', '10GiB', parseSize),
    uploads: read('u', '4', parseUploads),
    uploadBytesMin: read('min-upload-size', '0', parseSize),
    closeWaitMs: read('close-wait', '2s', parseDuration),
    shareCgo: read('share-cgo', 'off', parseOnOff),
    metrics: read('metrics', 'false', parseSwitch),
  };
}

function parseRemote(text: string): URL {
  const url = new URL(text);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') throw new Error('neither http nor https');
  return url;
}

function parseUploads(text: string): number {
  const count = Number(text);
  if (!Number.isInteger(count) || count < 1 || count > 64) throw new Error('out of bounds');
  return count;
}

function parseOnOff(text: string): boolean {
  if (text !== 'on' && text !== 'off') throw new Error('neither on nor off');
  return text === 'on';
}

function parseSwitch(text: string): boolean {
  if (text === 'true' || text === '1') return true;
  if (text === 'false' || text === '0') return false;
  throw new Error('no switch');
}

/** @throws {UsageError} the user has none */
function home(): string {
  try {
    return homedir();
  } catch {
    throw new UsageError('cannot find a home directory for the cache: set --cache-dir or HOME');
  }
}
