/**
 * The plugin server: many `go` commands' sessions over one cache, on loopback or a Unix socket.
 *
 *     go ──stdin/stdout──▶ astera connect ──socket──▶ PluginServer ──▶ one Session each, one PluginCache
 *
 * Both ways it is the `go` command's own protocol. While it owes an answer it sends empty lines, which every reader of JSON
 * skips, so that a client can tell a slow server from a hung one. It runs in a thread of its own (`workers/`).
 */

import { chmodSync, lstatSync, unlinkSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { Address } from '../core/address.ts';
import { soon } from '../core/soon.ts';
import { greeting } from './greeting.ts';
import { PLUGIN_ANSWERS_BYTES_MAX, PLUGIN_BEAT_MS, PLUGIN_GETS_MAX, PLUGIN_SESSIONS_MAX } from './limits.ts';
import { socketOptions } from './plugin-address.ts';
import type { PluginCache } from './plugin-cache.ts';
import { RequestReader } from './request-reader.ts';
import { Session } from './session.ts';

export type PluginServerOptions = {
  readonly address: Address;
  /** Closed with the server. */
  readonly cache: PluginCache;
};

export class PluginServer {
  readonly #address: Address;
  readonly #cache: PluginCache;
  readonly #server: Server;
  readonly #clients = new Set<Client>();
  readonly #timers: readonly NodeJS.Timeout[];

  /** @throws {Error} the address can't be had */
  static async listen({ address, cache }: PluginServerOptions): Promise<PluginServer> {
    if (address.kind === 'unix') await removeStale(address.path);
    const server = new PluginServer(address, cache);
    try {
      await server.#listen();
    } catch (error) {
      await server.stop(0);
      throw error;
    }
    return server;
  }

  private constructor(address: Address, cache: PluginCache) {
    this.#address = address;
    this.#cache = cache;
    this.#server = createServer((socket) => this.#accept(socket));
    this.#server.maxConnections = PLUGIN_SESSIONS_MAX;
    this.#timers = [
      setInterval(() => this.#beat(), PLUGIN_BEAT_MS),
      setInterval(() => void cache.trim(), TRIM_MS),
    ];
    void cache.trim();
  }

  /** Of a server on loopback; 0 of one on a Unix socket. */
  get port(): number {
    const bound = this.#server.address();
    return typeof bound === 'object' && bound !== null ? bound.port : 0;
  }

  /** Takes no more commands, gives those that run `graceMs` to end, then leaves them to go on alone. */
  async stop(graceMs: number): Promise<void> {
    this.#server.close();
    await soon(Promise.all(Array.from(this.#clients, ({ ended }) => ended)), graceMs);
    for (const client of this.#clients) client.cutOff();
    this.#timers.forEach(clearInterval);
    await this.#cache.close();
    await this.#cache.end();
  }

  #listen(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(socketOptions(this.#address), () => {
        this.#server.off('error', reject);
        this.#server.on('error', () => {}); // Out of file descriptors, for one: that client goes on alone.
        resolve();
      });
      // It is bound by now. Whoever may write to it can change what is built.
      if (this.#address.kind === 'unix') chmodSync(this.#address.path, 0o600);
    });
  }

  #accept(socket: Socket): void {
    const client = new Client(socket, this.#cache);
    this.#clients.add(client);
    void client.ended.then(() => this.#clients.delete(client));
  }

  #beat(): void {
    for (const client of this.#clients) client.beat();
  }
}

/** `trim` itself looks whether an hour has gone by. */
const TRIM_MS = 600_000;

/** One connection and its session. Nothing that it sends, or fails to take, reaches another. */
class Client {
  /** Settles when it is gone. */
  readonly ended: Promise<void>;
  readonly #socket: Socket;
  readonly #session: Session;

  constructor(socket: Socket, cache: PluginCache) {
    this.#socket = socket;
    const takesName = cache.knowsSets; // To others a name is no use.
    this.#session = new Session({ cache, takesName, write: (text) => this.#write(text) });
    const reader = new RequestReader(this.#session);
    this.ended = new Promise((resolve) => socket.once('close', () => resolve(this.#session.end())));
    socket.setNoDelay(true);
    socket.on('data', (bytes: Buffer) => {
      try {
        reader.push(bytes);
      } catch {
        this.cutOff(); // Not the `go` command: a browser, say.
      }
      this.#holdBack();
    });
    socket.on('drain', () => this.#holdBack());
    socket.on('error', () => {}); // `close` follows.
    void this.#session.closed.then(() => this.#close());
    socket.write(greeting({ takesName }));
  }

  beat(): void {
    if (this.#session.isBusy && this.#socket.writableLength === 0) this.#socket.write('\n');
  }

  cutOff(): void {
    this.#socket.destroy();
  }

  async #close(): Promise<void> {
    await this.#session.end();
    this.#session.answerClose();
    this.#socket.end();
  }

  #write(text: string): void {
    if (this.#socket.writable) this.#socket.write(text);
    this.#holdBack();
  }

  /** No more is read than is answered and taken. */
  #holdBack(): void {
    const isFull =
      this.#socket.writableLength > PLUGIN_ANSWERS_BYTES_MAX || this.#session.waiting > PLUGIN_GETS_MAX;
    if (isFull) this.#socket.pause();
    else if (this.#socket.isPaused()) this.#socket.resume();
  }
}

/** A socket that nobody answers is a dead server's. @throws {Error} it can't be removed */
async function removeStale(path: string): Promise<void> {
  const stats = lstatSync(path, { throwIfNoEntry: false });
  if (stats?.isSocket() && (await isRefused(path))) unlinkSync(path);
}

function isRefused(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path, () => settle(false));
    const settle = (isGone: boolean) => {
      socket.destroy();
      resolve(isGone);
    };
    socket.once('error', (error: NodeJS.ErrnoException) => settle(error.code === 'ECONNREFUSED'));
  });
}
