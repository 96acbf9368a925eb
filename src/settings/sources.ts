/**
 * The three sources of a setting: its flag, its variable, the file of settings. Their order: `config.ts`.
 */

import { readFileSync, statSync } from 'node:fs';
import { type Address, parseAddress } from '../core/address.ts';
import { messageOf } from '../core/errors.ts';
import { quote } from '../core/quote.ts';
import { UsageError, unknownName } from '../core/usage-error.ts';
import { pluginFlags } from '../plugin/flags.ts';
import { withoutUserinfo } from '../upstream/redact.ts';
import type { Env } from './go-env.ts';
import { pluginServerOptions, type ServeOption, serveOptions } from './serve-options.ts';

/** A value's text and its place, such as `--addr`, `ASTERA_ADDR` or `astera.conf:3`. */
export type Found = { readonly text: string; readonly from: string };

/** Finds and reads each setting. @throws {UsageError} bad value, unknown name in the file, unreadable file */
export class Settings {
  readonly #flags: Readonly<Record<string, string | undefined>>;
  readonly #env: Env;
  readonly #file: ReadonlyMap<string, Found>;

  constructor(flags: Readonly<Record<string, string | undefined>>, env: Env) {
    this.#flags = flags;
    this.#env = env;
    const path = flags.config ?? nonEmpty(env.ASTERA_CONFIG);
    this.#file = path === undefined ? new Map() : readConfigFile(path);
  }

  /** An empty variable counts as unset, as it does for `go`. */
  find(name: string): Found | undefined {
    const flag = this.#flags[name];
    if (flag !== undefined) return { text: flag, from: `--${name}` };
    const variable = `ASTERA_${name.toUpperCase().replaceAll('-', '_')}`;
    const text = nonEmpty(this.#env[variable]);
    if (text !== undefined) return { text, from: variable };
    return this.#file.get(name) ?? this.#findTheirs(name);
  }

  /** `--addr`, or its other name. @throws {UsageError} both */
  findAddr(): Found | undefined {
    if (this.#flags.addr !== undefined && this.#flags.http !== undefined) {
      throw new UsageError('--http is another name for --addr: set one of them');
    }
    return this.find('addr') ?? this.find('http');
  }

  readAddr(): Address {
    const found = this.findAddr() ?? { text: serveOptions.addr.fallback, from: 'default' };
    return parseFound(serveOptions.addr, found, parseAddress);
  }

  /** go-cache-plugin's variable for it. */
  #findTheirs(name: string): Found | undefined {
    const from = theirVariables.get(name);
    const text = from === undefined ? undefined : nonEmpty(this.#env[from]);
    return from === undefined || text === undefined ? undefined : { text, from };
  }

  read<T>(option: ServeOption, parse: (text: string) => T, fallback = option.fallback ?? ''): T {
    return parseFound(option, this.find(option.name) ?? { text: fallback, from: 'default' }, parse);
  }

  readIfSet<T>(option: ServeOption, parse: (text: string) => T): T | undefined {
    const found = this.find(option.name);
    return found && parseFound(option, found, parse);
  }
}

const theirVariables: ReadonlyMap<string, string> = new Map([
  ...pluginFlags.flatMap(({ name, variable }) => (variable === undefined ? [] : [[name, variable] as const])),
  ['plugin', 'GOCACHE_PLUGIN'],
  ['http', 'GOCACHE_HTTP'],
  ['modproxy', 'GOCACHE_MODPROXY'],
  ['sumdb', 'GOCACHE_SUMDB'],
]);

/** @throws {UsageError} the value has another form */
export function parseFound<T>(option: ServeOption, { text, from }: Found, parse: (text: string) => T): T {
  try {
    return parse(text);
  } catch (cause) {
    const value = quote(withoutUserinfo(text).slice(0, 200));
    throw new UsageError(`bad value for ${whereOf(option, from)}: ${value}: expected ${option.form}`, {
      cause,
    });
  }
}

/** The same for a value that may have a password, or a long one: its parser's own words are shown, not the value. */
export function checked<T>(option: ServeOption, { from }: Found, parse: () => T): T {
  try {
    return parse();
  } catch (cause) {
    throw new UsageError(`bad value for ${whereOf(option, from)}: ${messageOf(cause)}`, { cause });
  }
}

/** Names a setting in an error. */
function whereOf({ name }: ServeOption, from: string): string {
  return from === `--${name}` ? from : `--${name} (from ${from})`;
}

/** A settings file is a page long. Past it somebody named the wrong file. */
const FILE_BYTES_MAX = 65_536;

function readConfigFile(path: string): Map<string, Found> {
  const options: readonly ServeOption[] = [
    ...Object.values(serveOptions),
    ...pluginServerOptions,
    ...pluginFlags,
  ];
  const lists = new Set(options.filter(({ isList }) => isList).map(({ name }) => name));
  const names = options.map(({ name }) => name);
  const found = new Map<string, Found>();
  for (const [index, line] of readSmallFile(path).split(/\r?\n/).entries()) {
    const from = `${path}:${index + 1}`;
    if (/^\s*(?:#|$)/.test(line)) continue;
    const [, name, text] = /^\s*([a-z][a-z0-9-]*)\s*=(.*)$/.exec(line) ?? [];
    if (name === undefined || text === undefined) {
      throw new UsageError(`cannot read ${from}: expected name = value: ${quote(line.slice(0, 80))}`);
    }
    if (!names.includes(name)) throw unknownName(`setting in ${from}`, name, names);
    const before = lists.has(name) ? found.get(name) : undefined;
    found.set(
      name,
      before ? { ...before, text: `${before.text},${text.trim()}` } : { text: text.trim(), from },
    );
  }
  return found;
}

function readSmallFile(path: string): string {
  try {
    const stats = statSync(path);
    if (!stats.isFile() || stats.size > FILE_BYTES_MAX)
      throw new Error(`not a file of up to ${FILE_BYTES_MAX} bytes`);
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw new UsageError(`cannot read --config ${quote(path)}: ${messageOf(cause)}`, { cause });
  }
}

/** An empty variable counts as unset, as it does for `go`. */
export function nonEmpty(text: string | undefined): string | undefined {
  return text === '' ? undefined : text;
}
