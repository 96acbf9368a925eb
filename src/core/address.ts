/**
 * Listen addresses as Go writes them. Holds their form; whether a port is free or a name known, `listen` says.
 */

import { BadRequest } from './errors.ts';

/** `host` is without brackets, and empty for every interface; port 0 lets the system choose. */
export type Address =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string };

/**
 * `:8080`, `127.0.0.1:0`, `localhost:5970`, `[::1]:80`, `unix:/run/astera.sock`.
 *
 * @throws {BadRequest} another form, or a port past 65535
 */
export function parseAddress(text: string): Address {
  if (text.startsWith('unix:')) return parseUnix(text);
  const [, ipv6, name = '', digits = ''] = TCP.exec(text) ?? [];
  const port = Number(digits);
  if (digits === '' || port > PORT_MAX) throw new BadRequest(`not an address: ${JSON.stringify(text)}`);
  return { kind: 'tcp', host: ipv6 ?? name, port };
}

/** The inverse of {@link parseAddress}. */
export function formatAddress(address: Address): string {
  if (address.kind === 'unix') return `unix:${address.path}`;
  return `${address.host.includes(':') ? `[${address.host}]` : address.host}:${address.port}`;
}

const PORT_MAX = 65_535;

/** `sun_path` has 108 bytes, one for the end; beyond it the kernel refuses. */
const UNIX_PATH_BYTES_MAX = 107;

// An IPv6 address stands in brackets, since its colons would hide the port. A name has 253 characters at most.
const TCP =
  /^(?:\[([0-9A-Fa-f]*:[0-9A-Fa-f:.]{1,45}(?:%[A-Za-z0-9._-]{1,32})?)\]|([A-Za-z0-9._-]{0,253})):([0-9]{1,5})$/;

function parseUnix(text: string): Address {
  const path = text.slice('unix:'.length);
  if (path === '' || path.includes('\0') || new TextEncoder().encode(path).length > UNIX_PATH_BYTES_MAX) {
    throw new BadRequest(`not an address: ${JSON.stringify(text)}`);
  }
  return { kind: 'unix', path };
}
