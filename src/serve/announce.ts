/** The server's address: listens on it, by https where there is a certificate, refuses an upstream that is this very server, and prints the one line. */

import { formatAddress } from '../core/address.ts';
import { quote } from '../core/quote.ts';
import { UsageError } from '../core/usage-error.ts';
import type { Server } from '../front/server.ts';
import type { Config } from '../settings/config.ts';
import { ownMember } from './own-address.ts';
import { tlsOf } from './tls.ts';

/**
 * Listens, and says so on stdout: the one line others wait for.
 *
 * @throws {Error} the address can't be had
 * @throws {UsageError} the upstream is this very server, or the TLS files are none
 */
export async function announce(config: Config, server: Server): Promise<void> {
  const tls = tlsOf(config);
  const port = await server.listen(config.addr, tls).catch((cause: unknown) => {
    const files = `--tls-cert ${quote(tls?.certPath)} and --tls-key ${quote(tls?.keyPath)}`;
    throw new UsageError(`cannot use ${files}: not a certificate in PEM and its key, or not readable`, {
      cause,
    });
  });
  if (port === undefined) {
    throw new Error(
      `cannot listen on ${formatAddress(config.addr)}: the address is in use, not ours, or only for root; set --addr`,
    );
  }
  const own = await ownMember(config.upstream, config.addr, port);
  if (own !== undefined) {
    throw new UsageError(
      `cannot use ${own} as upstream: it is this very server; set --upstream to the proxy behind it (GOPROXY here points to Astera)`,
    );
  }
  for (const { pattern, list } of config.routes) {
    const own = await ownMember(list, config.addr, port);
    if (own !== undefined)
      throw new UsageError(
        `cannot use ${own} as upstream of --route ${quote(pattern)}: it is this very server`,
      );
  }
  const where =
    config.addr.kind === 'unix'
      ? formatAddress(config.addr)
      : urlOf(config.addr.host, port, tls ? 'https' : 'http');
  process.stdout.write(`listening on ${where}\n`);
}

function urlOf(host: string, port: number, scheme: string): string {
  return `${scheme}://${formatAddress({ kind: 'tcp', host: host === '' ? 'localhost' : host, port })}`;
}
