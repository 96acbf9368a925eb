/**
 * Whether an upstream is this very listener: a user who sets GOPROXY to Astera on Astera's own
 * machine would make it its own upstream, and a flight would wait for itself.
 */

import { lookup } from 'node:dns/promises';
import { createServer } from 'node:net';
import { networkInterfaces } from 'node:os';
import type { Address } from '../core/address.ts';
import { parseProxyList } from '../upstream/proxy-list-syntax.ts';

/** The member of `list` that is `address` at `port`, without its userinfo; undefined where none is. */
export async function ownMember(list: string, address: Address, port: number): Promise<string | undefined> {
  if (address.kind === 'unix') return undefined;
  for (const member of parseProxyList(list)) {
    if (member.kind !== 'http' || portOf(member.url) !== port) continue;
    const host = member.url.hostname.replace(/^\[|\]$/g, '');
    // A name that can't be looked up now is not this machine's.
    const found = await lookup(host, { all: true }).catch(() => []);
    for (const { address: ip } of found) {
      if (LOCAL.test(ip) || (await isOwn(ip))) return member.url.host;
    }
  }
  return undefined;
}

/** All of loopback, and "any address", which as a destination is this machine. */
const LOCAL = /^(?:127\..*|0\.0\.0\.0|::)$/;

/** Asked of the kernel where the interfaces can't be listed: a service may be forbidden to. */
async function isOwn(ip: string): Promise<boolean> {
  try {
    return Object.values(networkInterfaces()).some((list) => list?.some(({ address }) => address === ip));
  } catch {
    return canBind(ip);
  }
}

/** Whether a socket can be bound to the address, which only this machine's can. */
function canBind(ip: string): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ host: ip, port: 0, exclusive: true }, () => server.close(() => resolve(true)));
  });
}

function portOf(url: URL): number {
  if (url.port !== '') return Number(url.port);
  return url.protocol === 'https:' ? 443 : 80;
}
