/**
 * Upstreams that are gone, in the three ways a line is: refusing, taking and never answering, losing
 * every packet. All on loopback, without root.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { lastingPort } from './free-port.ts';

export type Gone = { readonly url: string; close(): Promise<void> };

/** A port where nobody listens, nor will: a server that asks for any free port could get one of the kernel's. */
export async function refusing(): Promise<Gone> {
  return { url: urlOf(await lastingPort()), close: async () => {} };
}

/** Connections are taken and requests read; nothing ever comes back. */
export async function silent(): Promise<Gone> {
  const sockets = new Set<Socket>();
  const server = await listening(
    createServer((socket) => {
      sockets.add(socket.on('error', () => {}));
      socket.resume();
    }),
  );
  return {
    url: urlOf(server.port),
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await closed(server);
    },
  };
}

/** A process that listens, is stopped, and has its queue of connections full: the kernel drops what comes. */
export async function blackHole(): Promise<Gone> {
  const listen =
    "require('net').createServer().listen({host:'127.0.0.1',port:0,backlog:1},function(){process.send(this.address().port)})";
  const child = spawn(process.execPath, ['-e', listen], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  const [port] = (await once(child, 'message')) as [number];
  child.kill('SIGSTOP');
  const sockets: Socket[] = [];
  while (sockets.at(-1)?.connecting !== true) {
    const socket = connect({ host: '127.0.0.1', port }).on('error', () => {});
    sockets.push(socket);
    await Promise.race([once(socket, 'connect'), delay(300)]);
  }
  return {
    url: urlOf(port),
    close: async () => {
      for (const socket of sockets) socket.destroy();
      child.kill('SIGKILL');
      await once(child, 'exit');
    },
  };
}

async function listening(server: Server): Promise<Server & { port: number }> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return Object.assign(server, { port: (server.address() as AddressInfo).port });
}

async function closed(server: Server): Promise<void> {
  server.close();
  await once(server, 'close');
}

function urlOf(port: number): string {
  return `http://127.0.0.1:${port}`;
}
