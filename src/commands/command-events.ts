/** Events of a command that does a server's work: a line for each fetch belongs to a server's log; here a bar shows them. */

import { Events } from '../observe/events.ts';
import { createLogger } from '../observe/logger.ts';
import { Metrics } from '../observe/metrics.ts';
import type { Config } from '../settings/config.ts';

export function commandEvents({ logLevel }: Pick<Config, 'logLevel'>): Events {
  const level = logLevel === 'info' ? 'warn' : logLevel;
  return new Events(createLogger({ level, isTerminal: process.stderr.isTTY }), new Metrics());
}
