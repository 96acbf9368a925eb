/**
 * Whether an upstream is this very listener: a user who sets GOPROXY to Astera on Astera's own
 * machine would make it its own upstream, and a flight would wait for itself.
 */

import { lookup } from 'node:dns/promises';
import { networkInterfaces } from 'node:os';
import type { Address } from '../core/address.ts';
import { parseProxyList } from '../upstream/proxy-list-syntax.ts';

/** The member of `list` that is `address` at `port`, without its userinfo; undefined where none is. */
export async function ownMember(list: string, address: Address, port: number): Promise<string | undefined> {
  if (address.kind === 'unix') return undefined;
  const own = new Set(
    Object.values(networkInterfaces()).flatMap((list) => list?.map((i) => i.address) ?? []),
  );
  for (const member of parseProxyList(list)) {
    if (member.kind !== 'http' || portOf(member.url) !== port) continue;
    const host = member.url.hostname.replace(/^\[|\]$/g, '');
    // A name that can't be looked up now is not this machine's.
    const found = await lookup(host, { all: true }).catch(() => []);
    if (found.some(({ address: ip }) => own.has(ip) || LOCAL.test(ip))) return member.url.host;
  }
  return undefined;
}

/** All of loopback, and "any address", which as a destination is this machine. */
const LOCAL = /^(?:127\..*|0\.0\.0\.0|::)$/;

function portOf(url: URL): number {
  if (url.port !== '') return Number(url.port);
  return url.protocol === 'https:' ? 443 : 80;
}
