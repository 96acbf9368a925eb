/** Where a plugin server listens: on loopback, or on a Unix socket. */

import { type Address, parseAddress } from '../core/address.ts';
import { BadRequest } from '../core/errors.ts';
import { quote } from '../core/quote.ts';

/**
 * A port as go-cache-plugin takes it, `127.0.0.1:5930` as we print it, or `unix:PATH`. Port 0 lets the system choose.
 *
 * @throws {BadRequest} another form, another host: whoever reaches the server can change what is built
 */
export function parsePluginAddress(text: string): Address {
  const address = parseAddress(/^[0-9]{1,5}$/.test(text) ? `${HOST}:${text}` : text);
  if (address.kind === 'tcp' && address.host !== HOST) {
    throw new BadRequest(`not on loopback: ${quote(text)}`);
  }
  return address;
}

/** As `listen` and `connect` of node:net take it. */
export function socketOptions(address: Address): { path: string } | { host: string; port: number } {
  return address.kind === 'unix' ? { path: address.path } : { host: address.host, port: address.port };
}

const HOST = '127.0.0.1';
