/** A port for what must know its own before it listens. */

import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';

/** A port of loopback that was free a moment ago. */
export function freePort(): Promise<number> {
  return freedPort(0);
}

/**
 * One that stays free while nobody listens: not among those that the kernel gives to clients. Those who try again and again to
 * connect to one of these are connected to themselves at last.
 */
export async function lastingPort(): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 10_000);
    const found = await freedPort(port).catch(() => undefined);
    if (found !== undefined) return found;
  }
}

async function freedPort(wanted: number): Promise<number> {
  const server = createServer().listen(wanted, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
