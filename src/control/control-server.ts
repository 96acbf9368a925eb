/**
 * The control socket: commands hand their writes over it to the process that has the store.
 *
 *     astera import ──frames──▶ <db>.sock ──▶ the same calls as the services make
 *
 * Only its owner may open it (mode 0600). Bytes on their way to the writer are bounded over all
 * connections, so that the server's own writes wait behind few of them. A connection's blobs are its
 * own: it names them by numbers it chooses, and what it leaves unfinished is dropped with it.
 */

import { chmodSync, lstatSync, unlinkSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import type {
  ControlCall,
  ControlPort,
  ServerCall,
  SumdbLearner,
  WritableStore,
} from '../core/control-port.ts';
import { BadRequest, isServeError, messageOf, StoreFailed } from '../core/errors.ts';
import { quote } from '../core/quote.ts';
import type { Remote } from '../core/store-port.ts';
import { packStreamFrame, StreamFrames } from '../wire/stream-frame.ts';
import { Allowance } from './allowance.ts';
import { CONTROL_PROTOCOL, type ControlRequest, parseHello, parseRequest } from './control-messages.ts';
import {
  CONTROL_BYTES_IN_FLIGHT_MAX,
  CONTROL_CALLS_MAX,
  CONTROL_CONNECTIONS_MAX,
  CONTROL_FRAME_BYTES_MAX,
} from './limits.ts';

/** The handlers of the calls. Blob numbers in them are real ones, from `nextBlob`. */
export type ControlHandlers = WritableStore & Pick<Remote<ControlPort>, ServerCall> & SumdbLearner;

export type ControlServerOptions = {
  /** As `controlPath` gives it. */
  readonly path: string;
  readonly handlers: ControlHandlers;
  /** Told why a connection was cut off. */
  readonly onRefused: (why: string) => void;
  /** Told of what is no error of `core/errors.ts`. */
  readonly onBug: (call: string, error: unknown) => void;
};

export class ControlServer {
  readonly #options: ControlServerOptions;
  readonly #server: Server;
  readonly #connections = new Set<Connection>();
  readonly #bytes = new Allowance(CONTROL_BYTES_IN_FLIGHT_MAX);

  /**
   * Listens. To be called with the store's lock: a socket that is there already is a dead process's.
   *
   * @throws {StoreFailed} the socket can't be made
   */
  static async listen(options: ControlServerOptions): Promise<ControlServer> {
    const control = new ControlServer(options);
    try {
      removeStale(options.path);
      await control.#listen();
      return control;
    } catch (cause) {
      const why = messageOf(cause);
      throw new StoreFailed(`cannot open control socket ${quote(options.path)}: ${why}`, { cause });
    }
  }

  private constructor(options: ControlServerOptions) {
    this.#options = options;
    this.#server = createServer((socket) => void this.#serve(socket));
    this.#server.maxConnections = CONTROL_CONNECTIONS_MAX;
  }

  /** Cuts every connection off, removes the socket, and waits for the calls that run. */
  async stop(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    await Promise.all(Array.from(this.#connections, (connection) => connection.cutOff()));
    await closed;
  }

  #listen(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      // The socket is bound within this call: nobody else may open it, not even for a moment.
      const before = process.umask(0o177);
      try {
        this.#server.listen(this.#options.path, () => {
          this.#server.off('error', reject);
          this.#server.on('error', (error) => this.#options.onRefused(messageOf(error)));
          resolve();
        });
      } finally {
        process.umask(before);
      }
      chmodSync(this.#options.path, 0o600);
    });
  }

  async #serve(socket: Socket): Promise<void> {
    const connection = new Connection(socket, this.#options, this.#bytes);
    this.#connections.add(connection);
    try {
      await connection.serve();
    } catch (error) {
      // Hung up in the middle of something is how a command ends that was killed.
      if (error instanceof BadRequest) this.#options.onRefused(messageOf(error));
    } finally {
      await connection.cutOff();
      this.#connections.delete(connection);
    }
  }
}

function removeStale(path: string): void {
  const stats = lstatSync(path, { throwIfNoEntry: false });
  if (stats === undefined) return;
  if (!stats.isSocket()) throw new Error('there is a file of that name');
  unlinkSync(path);
}

class Connection {
  readonly #socket: Socket;
  readonly #options: ControlServerOptions;
  readonly #bytes: Allowance;
  readonly #calls = new Allowance(CONTROL_CALLS_MAX);
  readonly #running = new Set<Promise<void>>();
  /** The growing blobs of this connection, by the number it gave them. */
  readonly #blobs = new Map<number, number>();
  #isCutOff = false;

  constructor(socket: Socket, options: ControlServerOptions, bytes: Allowance) {
    this.#socket = socket;
    this.#options = options;
    this.#bytes = bytes;
    socket.on('error', () => {}); // `serve` ends by it.
    socket.setMaxListeners(2 * CONTROL_CALLS_MAX); // Each open call waits for its end.
  }

  /** Reads requests and starts them, in order; ends with the connection. */
  async serve(): Promise<void> {
    const frames = new StreamFrames(CONTROL_FRAME_BYTES_MAX);
    let isGreeted = false;
    for await (const bytes of this.#socket) {
      for (const { value, bytes: size } of frames.push(bytes as Buffer)) {
        if (!isGreeted) this.#greet(parseHello(value).protocol);
        else await this.#start(parseRequest(value), size);
        isGreeted = true;
      }
    }
  }

  /** Hangs up, waits for the calls that run, and drops the blobs that were not sealed. */
  async cutOff(): Promise<void> {
    this.#isCutOff = true;
    this.#socket.destroy();
    while (this.#running.size > 0) await Promise.all(this.#running);
    const left = [...this.#blobs.values()];
    this.#blobs.clear();
    // If that fails, the next import of their keys drops them, or a tidy after some days.
    await Promise.all(left.map((blob) => this.#options.handlers.dropBlob({ blob }).catch(() => {})));
  }

  #greet(protocol: number): void {
    this.#socket.write(packStreamFrame({ protocol: CONTROL_PROTOCOL }));
    if (protocol === CONTROL_PROTOCOL) return;
    throw new BadRequest(`a command of another Astera: protocol ${protocol}, not ${CONTROL_PROTOCOL}`);
  }

  async #start(request: ControlRequest, size: number): Promise<void> {
    await this.#calls.waitForRoom();
    await this.#bytes.waitForRoom();
    await this.#options.handlers.waitForRoom();
    if (this.#isCutOff) return;
    this.#calls.take(1);
    this.#bytes.take(size);
    const run = this.#run(request).finally(() => {
      this.#bytes.give(size);
      this.#calls.give(1);
      this.#running.delete(run);
    });
    this.#running.add(run);
  }

  async #run(request: ControlRequest): Promise<void> {
    const { id, call } = request;
    try {
      await this.#reply({ id, ok: true, value: await this.#invoke(request) });
    } catch (error) {
      const kind = isServeError(error) ? error.kind : 'store-failed';
      if (!isServeError(error)) this.#options.onBug(call, error);
      await this.#reply({ id, ok: false, kind, message: messageOf(error) });
    }
  }

  /** A reply nobody reads keeps its call open. */
  #reply(reply: object): Promise<void> {
    if (this.#socket.destroyed) return Promise.resolve();
    return new Promise((resolve) => {
      this.#socket.once('close', resolve);
      this.#socket.write(packStreamFrame(reply), () => {
        this.#socket.off('close', resolve);
        resolve();
      });
    });
  }

  /** Calls the store before the first await: calls reach it in the order in which they came. */
  #invoke(request: ControlRequest): Promise<object> {
    const { handlers } = this.#options;
    switch (request.call) {
      case 'putEntry':
        return handlers.putEntry({ ...request.args, blob: handlers.nextBlob() });
      case 'openBlob':
        return handlers.openBlob({ ...request.args, blob: this.#newBlob(request.args.blob) });
      case 'putChunk':
        return handlers.putChunk({ ...request.args, blob: this.#ownBlob(request.args.blob) });
      case 'sealBlob':
        return this.#seal(request.args);
      case 'dropBlob':
        return this.#drop(request.args.blob);
      default:
        return (handlers[request.call] as Invoke)(request.args);
    }
  }

  #newBlob(named: number): number {
    if (this.#blobs.has(named)) throw new BadRequest(`blob ${named} grows already`);
    const blob = this.#options.handlers.nextBlob();
    this.#blobs.set(named, blob);
    return blob;
  }

  #ownBlob(named: number): number {
    const blob = this.#blobs.get(named);
    if (blob === undefined) throw new BadRequest(`no blob ${named} grows`);
    return blob;
  }

  async #seal(args: (ControlRequest & { call: 'sealBlob' })['args']): Promise<object> {
    const sealed = await this.#options.handlers.sealBlob({ ...args, blob: this.#ownBlob(args.blob) });
    this.#blobs.delete(args.blob);
    return sealed;
  }

  #drop(named: number): Promise<object> {
    const blob = this.#ownBlob(named);
    this.#blobs.delete(named);
    return this.#options.handlers.dropBlob({ blob });
  }
}

type Invoke = (args: Parameters<ControlPort[ControlCall]>[0]) => Promise<object>;
