/**
 * Listen addresses as Go writes them. This file checks only their form. `listen` finds out whether a port is free and a
 * name is known.
 */

import { BadRequest } from './errors.ts';
import { quote } from './quote.ts';

/** A listen address. `host` has no brackets, and is empty for all interfaces. With port 0 the system chooses one. */
export type Address =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string };

/**
 * Reads `:8080`, `127.0.0.1:0`, `localhost:5970`, `[::1]:80` or `unix:/run/astera.sock`.
 *
 * @throws {BadRequest} another form, or a port past 65535
 */
export function parseAddress(text: string): Address {
  if (text.startsWith('unix:')) return parseUnix(text);
  const [, ipv6, name = '', digits = ''] = TCP.exec(text) ?? [];
  const port = Number(digits);
  if (digits === '' || port > PORT_MAX) throw new BadRequest(`not an address: ${quote(text)}`);
  return { kind: 'tcp', host: ipv6 ?? name, port };
}

/** The inverse of {@link parseAddress}. */
export function formatAddress(address: Address): string {
  if (address.kind === 'unix') return `unix:${address.path}`;
  return `${address.host.includes(':') ? `[${address.host}]` : address.host}:${address.port}`;
}

const PORT_MAX = 65_535;

/** The kernel's `sun_path` has 108 bytes, and the last one is a NUL. */
const UNIX_PATH_BYTES_MAX = 107;

// An IPv6 address stands in brackets, since its colons would hide the port. A name has 253 characters at most.
const TCP =
  /^(?:\[([0-9A-Fa-f]*:[0-9A-Fa-f:.]{1,45}(?:%[A-Za-z0-9._-]{1,32})?)\]|([A-Za-z0-9._-]{0,253})):([0-9]{1,5})$/;

function parseUnix(text: string): Address {
  const path = text.slice('unix:'.length);
  if (path === '' || path.includes('\0') || new TextEncoder().encode(path).length > UNIX_PATH_BYTES_MAX) {
    throw new BadRequest(`not an address: ${quote(text)}`);
  }
  return { kind: 'unix', path };
}
