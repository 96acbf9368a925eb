/**
 * Clients that see what is on the wire: whether a body ended cleanly, and sockets that say anything.
 *
 * `fetch` hides both: it tidies URLs up, and keeps connections.
 */

import { get } from 'node:http';
import { connect, type Socket } from 'node:net';

export type Outcome = {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
  /** The body ended as its head said; false: the connection was cut. */
  readonly isWhole: boolean;
};

/** Asks over a connection of its own and reads to the end, or to the cut. Status 0: not even a head came. */
export function ask(url: string, headers: Readonly<Record<string, string>> = {}): Promise<Outcome> {
  return new Promise((resolve) => {
    const nothing: Outcome = { status: 0, headers: {}, body: Buffer.alloc(0), isWhole: false };
    const asking = get(url, { agent: false, headers }, (response) => {
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => parts.push(part));
      response.on('error', () => {});
      response.on('close', () => {
        const { statusCode = 0, headers: got, complete } = response;
        resolve({ status: statusCode, headers: got, body: Buffer.concat(parts), isWhole: complete });
      });
    });
    asking.on('error', () => resolve(nothing));
  });
}

/** The same of so many clients at once. */
export function askTogether(count: number, url: string): Promise<Outcome[]> {
  return Promise.all(Array.from({ length: count }, () => ask(url)));
}

/** Opens a socket to `url`'s host. */
export function dial(url: string): Promise<Socket> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = connect({ host: hostname, port: Number(port), allowHalfOpen: true });
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.removeListener('error', reject);
      socket.on('error', () => {});
      resolve(socket);
    });
  });
}

/** All that comes until the other side ends, or until `isEnough`. */
export function hear(socket: Socket, isEnough: (text: string) => boolean = () => false): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    const done = () => resolve(text);
    socket.on('data', (part: Buffer) => {
      text += part.toString('latin1');
      if (isEnough(text)) done();
    });
    socket.on('end', done).on('close', done);
  });
}

/** Sends `bytes` on a socket of its own and hears the answer's head out. */
export async function say(url: string, bytes: string | Uint8Array): Promise<string> {
  const socket = await dial(url);
  const heard = hear(socket, (text) => /\r\n\r\n/.test(text) && hasBody(text));
  socket.write(bytes);
  const text = await heard;
  socket.destroy();
  return text;
}

/** Whether one answer is there as its Content-Length says. */
function hasBody(text: string): boolean {
  const end = text.indexOf('\r\n\r\n') + 4;
  const length = /\r\ncontent-length: (\d+)/i.exec(text.slice(0, end));
  return length !== null && text.length - end >= Number(length[1]);
}
