/** The settings of a plugin server: its address, and the cache program's flags for its cache. */

import type { BucketEnv } from '../bucket/credentials.ts';
import type { Address } from '../core/address.ts';
import { choice, parseSwitch } from '../core/setting.ts';
import { UsageError } from '../core/usage-error.ts';
import { pluginFlags } from '../plugin/flags.ts';
import { readOptions } from '../plugin/options.ts';
import { parsePluginAddress } from '../plugin/plugin-address.ts';
import type { Config } from './config.ts';
import { pluginServerOptions, serveOptions } from './serve-options.ts';
import type { Settings } from './sources.ts';

/** A plugin server's settings. */
export type PluginConfig = {
  readonly address: Address;
  /** Of the cache program's flags those that are set, for the thread that has the cache. */
  readonly settings: Readonly<Record<string, string>>;
  /** Has a bucket's credentials. */
  readonly env: BucketEnv;
  /** No address for HTTP is set: nothing else is served. */
  readonly isAlone: boolean;
  readonly logLevel: Config['logLevel'];
  readonly systemd: Config['systemd'];
};

/** Undefined without `--plugin`. @throws {UsageError} bad value */
export function readPlugin(settings: Settings): Omit<PluginConfig, 'systemd' | 'env'> | undefined {
  const [plugin, , modproxy] = pluginServerOptions;
  const address = settings.readIfSet(plugin, parsePluginAddress);
  settings.readIfSet(modproxy, parseSwitch);
  if (address === undefined) return undefined;
  const { shareCgo } = readOptions((name) => settings.find(name));
  if (shareCgo === 'same-host')
    throw new UsageError(
      '--share-cgo=same-host depends on what each go command sets: use cacheprog, not --plugin',
    );
  const found = pluginFlags.map(({ name }) => [name, settings.find(name)?.text] as const);
  return {
    address,
    settings: Object.fromEntries(found.flatMap(([name, text]) => (text === undefined ? [] : [[name, text]]))),
    isAlone: settings.findAddr() === undefined,
    logLevel: settings.read(serveOptions.logLevel, choice('debug', 'info', 'warn', 'error')),
  };
}
