/** A plugin server in this process, and `connect` as a child over its source. */

import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { findIn, readOptions } from '../../src/plugin/options.ts';
import { parsePluginAddress } from '../../src/plugin/plugin-address.ts';
import { PluginCache } from '../../src/plugin/plugin-cache.ts';
import { PluginServer } from '../../src/plugin/plugin-server.ts';
import { CacheClient } from './cache-client.ts';
import { CHECKOUT } from './corpus.ts';
import { tempDir } from './temp-dir.ts';

export const PROGRAM = join(CHECKOUT, 'src/plugin/cacheprog-main.ts');

type ConnectOptions = {
  readonly cacheDir?: string;
  readonly env?: Readonly<Record<string, string>>;
};

/** `connect` with a local directory of its own. */
export async function connect(
  t: TestContext,
  to: string | number,
  { cacheDir = join(tempDir(t), 'own'), env = {} }: ConnectOptions = {},
): Promise<CacheClient> {
  const flags = ['--disable-warning=ExperimentalWarning', PROGRAM, 'connect', String(to)];
  const client = await CacheClient.start({
    command: [process.execPath, ...flags, `--cache-dir=${cacheDir}`],
    env,
  });
  t.after(() => client.child.kill('SIGKILL'));
  return client;
}

/** A plugin server over a directory of its own. */
export async function serve(
  t: TestContext,
  address: string,
  settings: Readonly<Record<string, string>> = {},
): Promise<{ readonly server: PluginServer; readonly cacheDir: string }> {
  const cacheDir = join(tempDir(t), 'cache');
  const options = readOptions(findIn({ 'cache-dir': cacheDir, ...settings }, {}));
  const cache = new PluginCache(options, () => {});
  const server = await PluginServer.listen({ address: parsePluginAddress(address), cache });
  t.after(() => server.stop(0));
  return { server, cacheDir };
}
