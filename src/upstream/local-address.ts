/**
 * Addresses that lead to this machine or its own link: loopback, 169.254.0.0/16 (where clouds keep a machine's secrets)
 * and their IPv6 kin. An upstream elsewhere may not send us there, by an address or by a name.
 */

import type { LookupFunction } from 'node:net';
import { isWithin, LOOPBACK, type Network, parseIp, plainIp } from '../core/network.ts';
import { quote } from '../core/quote.ts';

/** A name leads to an address that the upstream may not send us to. */
export class LocalAddress extends Error {
  override readonly name = 'LocalAddress';
}

// To 0.0.0.0 and :: Linux connects as to loopback.
const LOCAL: readonly Network[] = [
  ...LOOPBACK,
  { bytes: Uint8Array.of(0, 0, 0, 0), bits: 8 },
  { bytes: new Uint8Array(16), bits: 128 },
  { bytes: Uint8Array.of(169, 254, 0, 0), bits: 16 },
  { bytes: Uint8Array.of(0xfe, 0x80, ...new Array<number>(14).fill(0)), bits: 10 },
];

/** Whether `url` names this machine or its link without a lookup: by an address, or as localhost (RFC 6761). */
export function isLocal({ hostname }: URL): boolean {
  const host = hostname.replace(/^\[(.*)\]$/, '$1').replace(/\.$/, '');
  return host === 'localhost' || host.endsWith('.localhost') || isLocalAddress(host);
}

/** `lookup`, which fails with a {@link LocalAddress} where any of a name's addresses is local. */
export function withoutLocal(lookup: LookupFunction): LookupFunction {
  return (hostname, options, callback) =>
    lookup(hostname, options, (error, found, family) => {
      const addresses = typeof found === 'string' ? [found] : (found ?? []).map(({ address }) => address);
      if (!addresses.some(isLocalAddress)) callback(error, found, family);
      else callback(new LocalAddress(`${quote(hostname)} is this machine or its own link`), []);
    });
}

function isLocalAddress(text: string): boolean {
  const ip = parseIp(text.replace(/%.*$/, ''));
  return ip !== undefined && isWithin(LOCAL, plainIp(ip));
}
