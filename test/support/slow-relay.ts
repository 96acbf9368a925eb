/** A line in front of a server: a relay on loopback that passes each byte on later, and counts them. */

import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

export class SlowRelay {
  readonly url: string;
  /** Bytes to the server, heads and all. */
  bytesUp = 0;
  /** Bytes from the server. */
  bytesDown = 0;
  /** Each way. */
  delayMs: number;
  /** Of the way to the clients, over all connections. */
  bytesPerMs = Infinity;
  /** When the last byte to a client has gone into the line. */
  #freeAtMs = 0;
  readonly #server: Server;
  readonly #sockets: Set<Socket>;

  /** @param target `http://host:port` of the server */
  static async start(target: string, delayMs: number): Promise<SlowRelay> {
    const sockets = new Set<Socket>();
    const server = createServer({ noDelay: true });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new SlowRelay(server, sockets, { target: new URL(target), delayMs });
  }

  private constructor(
    server: Server,
    sockets: Set<Socket>,
    { target, delayMs }: { target: URL; delayMs: number },
  ) {
    const bound = server.address();
    this.url = `http://127.0.0.1:${typeof bound === 'object' ? bound?.port : 0}`;
    this.delayMs = delayMs;
    this.#server = server;
    this.#sockets = sockets;
    server.on('connection', (client) => {
      const upstream = connect({ host: target.hostname, port: Number(target.port), noDelay: true });
      this.#pass(client, upstream, (bytes) => {
        this.bytesUp += bytes;
        return 0;
      });
      this.#pass(upstream, client, (bytes) => {
        this.bytesDown += bytes;
        const nowMs = performance.now();
        this.#freeAtMs = Math.max(this.#freeAtMs, nowMs) + bytes / this.bytesPerMs;
        return this.#freeAtMs - nowMs;
      });
    });
  }

  stop(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  /** @param count tells how long the bytes wait for the line. */
  #pass(from: Socket, to: Socket, count: (bytes: number) => number): void {
    const line = new Line();
    let underWay = 0;
    this.#sockets.add(from);
    from.on('data', (bytes: Buffer) => {
      underWay += bytes.length;
      if (underWay > BYTES_UNDER_WAY_MAX) from.pause();
      line.add(count(bytes.length) + this.delayMs, () => {
        to.write(bytes, () => {
          underWay -= bytes.length;
          from.resume();
        });
      });
    });
    from.on('end', () => line.add(this.delayMs, () => to.end()));
    from.on('error', () => to.destroy());
    from.on('close', () => this.#sockets.delete(from));
  }
}

/** Keeps the order: a timer for each piece does not, where two are due at nearly the same time. */
class Line {
  readonly #pieces: { readonly dueMs: number; readonly deliver: () => void }[] = [];
  #lastDueMs = 0;

  add(laterMs: number, deliver: () => void): void {
    this.#lastDueMs = Math.max(this.#lastDueMs, performance.now() + laterMs);
    if (this.#pieces.push({ dueMs: this.#lastDueMs, deliver }) === 1) this.#wait();
  }

  #wait(): void {
    const [first] = this.#pieces;
    if (first !== undefined) setTimeout(() => this.#deliver(), first.dueMs - performance.now());
  }

  #deliver(): void {
    while ((this.#pieces[0]?.dueMs ?? Infinity) <= performance.now()) this.#pieces.shift()?.deliver();
    this.#wait();
  }
}

/** Of one connection and direction: more than 20 ms of 1 Gbit/s. */
const BYTES_UNDER_WAY_MAX = 4 * 1024 * 1024;
