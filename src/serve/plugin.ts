/** The plugin server of `astera serve`: beside the HTTP server, or alone. */

import { formatAddress } from '../core/address.ts';
import { createLogger, type Logger } from '../observe/logger.ts';
import type { PluginConfig } from '../settings/plugin-config.ts';
import { PluginThread } from '../workers/plugin-thread.ts';
import { STOP_GRACE_MS } from './limits.ts';
import { notifySystemd, ServiceManager } from './service-manager.ts';
import { aborted, serverStopSignal } from './stop-signal.ts';

/**
 * Serves nothing but the plugin until it is told to stop: no store is opened.
 *
 * @throws {Error} the address can't be had
 */
export async function servePlugin(config: PluginConfig): Promise<void> {
  const stop = serverStopSignal();
  const log = createLogger({ level: config.logLevel, isTerminal: process.stderr.isTTY });
  const thread = await startPlugin(config, log);
  const manager =
    config.systemd &&
    new ServiceManager({
      watchdogMs: config.systemd.watchdogMs,
      isAlive: async () => {},
      send: (message) => notifySystemd(message, (why) => log.warn({ why }, 'cannot tell systemd')),
    });
  manager?.ready();
  await aborted(stop);
  manager?.stopping();
  log.info('stopping');
  await thread.stop(STOP_GRACE_MS);
}

/** Listens, and says so on stdout. @throws {Error} the address can't be had */
export async function startPlugin(
  { address, settings, env }: Pick<PluginConfig, 'address' | 'settings' | 'env'>,
  log: Logger,
): Promise<PluginThread> {
  const thread = await PluginThread.start({
    address,
    settings,
    env,
    onWarning: (line) => log.warn({ why: line }, 'plugin'),
    onDeath: (why) => log.error({ why }, 'plugin: thread died, starts anew'),
  });
  process.stdout.write(`plugin listening on ${formatAddress(thread.address)}\n`);
  return thread;
}
