/** The certificate that a server is told to have. */

import { UsageError } from '../core/usage-error.ts';
import type { Tls } from '../front/listener.ts';
import type { Config } from '../settings/config.ts';

/**
 * Undefined: it speaks http.
 *
 * @throws {UsageError} a certificate without its key, a key without its certificate, or a Unix socket, whose clients speak http
 */
export function tlsOf({
  tlsCert,
  tlsKey,
  addr,
}: Pick<Config, 'tlsCert' | 'tlsKey' | 'addr'>): Tls | undefined {
  if (tlsCert === undefined && tlsKey === undefined) return undefined;
  if (tlsCert === undefined || tlsKey === undefined) {
    throw new UsageError('cannot serve https: --tls-cert and --tls-key go together');
  }
  if (addr.kind === 'unix') throw new UsageError('cannot serve https at a Unix socket: set --addr to a port');
  return { certPath: tlsCert, keyPath: tlsKey };
}
