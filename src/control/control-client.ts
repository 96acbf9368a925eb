/**
 * A running server's store, seen from a command: the calls of `core/control-port.ts` over its socket.
 *
 * Blob numbers are this connection's own; the server gives them real ones. There is no reconnecting:
 * committed writes stay, and the same command goes on from there.
 */

import { connect, type Socket } from 'node:net';
import type {
  ControlCall,
  ControlPort,
  ServerCall,
  SumdbLearner,
  WritableStore,
} from '../core/control-port.ts';
import { messageOf, StoreFailed, serveError } from '../core/errors.ts';
import { quote } from '../core/quote.ts';
import type { Remote } from '../core/store-port.ts';
import { packStreamFrame, StreamFrames } from '../wire/stream-frame.ts';
import { Allowance } from './allowance.ts';
import { CONTROL_PROTOCOL, parseHello, parseReply } from './control-messages.ts';
import { CONTROL_BYTES_IN_FLIGHT_MAX, CONTROL_FRAME_BYTES_MAX } from './limits.ts';

/** The store of a running server. */
export type ServerStore = WritableStore &
  SumdbLearner &
  Pick<Remote<ControlPort>, ServerCall> & { close(): void };

/**
 * Connects to the control socket at `path`.
 *
 * @returns undefined where nobody listens
 * @throws {StoreFailed} it can't be opened, or another Astera's version answers
 */
export async function connectControl(path: string): Promise<ServerStore | undefined> {
  const socket = await open(path);
  if (socket === undefined) return undefined;
  const client = new ControlClient(socket);
  await client.greet();
  return client;
}

const NOBODY: ReadonlySet<unknown> = new Set(['ENOENT', 'ECONNREFUSED']);

function open(path: string): Promise<Socket | undefined> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    socket.once('connect', () => resolve(socket));
    socket.once('error', (cause: NodeJS.ErrnoException) => {
      if (NOBODY.has(cause.code)) return resolve(undefined);
      reject(new StoreFailed(`cannot open control socket ${quote(path)}: ${messageOf(cause)}`, { cause }));
    });
  });
}

type Waiting = { readonly resolve: (value: never) => void; readonly reject: (error: Error) => void };

class ControlClient implements ServerStore {
  readonly getStored = this.#call('getStored');
  readonly getKeys = this.#call('getKeys');
  readonly getPartialKeys = this.#call('getPartialKeys');
  readonly putEntry = this.#call('putEntry');
  readonly openBlob = this.#call('openBlob');
  readonly putChunk = this.#call('putChunk');
  readonly sealBlob = this.#call('sealBlob');
  readonly dropBlob = this.#call('dropBlob');
  readonly forget = this.#call('forget');
  readonly dropUnused = this.#call('dropUnused');
  readonly dropOutput = this.#call('dropOutput');
  readonly dropAction = this.#call('dropAction');
  readonly forgetActions = this.#call('forgetActions');
  readonly fetch = this.#call('fetch');
  readonly pushUploads = this.#call('pushUploads');
  readonly bringSet = this.#call('bringSet');
  readonly lookUp = this.#call('lookUp');
  readonly forgetSumdb = this.#call('forgetSumdb');
  readonly refreshVulns = this.#call('refreshVulns');
  readonly sumdbHead = this.#call('sumdbHead');
  readonly sumdbLearn = this.#call('sumdbLearn');
  readonly #socket: Socket;
  readonly #frames = new StreamFrames(CONTROL_FRAME_BYTES_MAX);
  readonly #waiting = new Map<number, Waiting>();
  readonly #bytes = new Allowance(CONTROL_BYTES_IN_FLIGHT_MAX);
  #onGreeted: Waiting | undefined;
  #lastCall = 0;
  #lastBlob = 0;
  #failure: Error | undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (bytes) => this.#onData(bytes));
    socket.on('error', (error) => this.#fail(messageOf(error)));
    socket.on('close', () => this.#fail('it closed the connection'));
  }

  greet(): Promise<void> {
    return new Promise<void>((resolve, reject) => {
      this.#onGreeted = { resolve, reject };
      this.#socket.write(packStreamFrame({ protocol: CONTROL_PROTOCOL }));
    });
  }

  nextBlob(): number {
    return ++this.#lastBlob;
  }

  waitForRoom(): Promise<void> {
    return this.#bytes.waitForRoom();
  }

  close(): void {
    this.#socket.destroy();
  }

  #call<N extends ControlCall>(call: N): Remote<ControlPort>[N] {
    const send = (args: Parameters<ControlPort[N]>[0]) =>
      new Promise((resolve, reject) => {
        if (this.#failure !== undefined) return reject(this.#failure);
        const id = ++this.#lastCall;
        const frame = packStreamFrame({ id, call, args });
        this.#bytes.take(frame.byteLength);
        const settled = () => this.#bytes.give(frame.byteLength);
        this.#waiting.set(id, {
          resolve: (value: never) => {
            settled();
            resolve(value);
          },
          reject: (error) => {
            settled();
            reject(error);
          },
        });
        this.#socket.write(frame);
      });
    return send as Remote<ControlPort>[N];
  }

  #onData(bytes: Uint8Array): void {
    try {
      for (const { value } of this.#frames.push(bytes)) {
        if (this.#onGreeted !== undefined) this.#greeted(parseHello(value).protocol);
        else this.#settle(value);
      }
    } catch (error) {
      this.#fail(`it sent something else: ${messageOf(error)}`);
    }
  }

  #greeted(protocol: number): void {
    const greeting = this.#onGreeted;
    this.#onGreeted = undefined;
    if (protocol === CONTROL_PROTOCOL) {
      greeting?.resolve(undefined as never);
      return;
    }
    const why = `cannot hand it to the running server: it speaks protocol ${protocol}, this command ${CONTROL_PROTOCOL}; restart it with this Astera`;
    greeting?.reject(new StoreFailed(why));
    this.#socket.destroy();
  }

  #settle(value: unknown): void {
    const reply = parseReply(value);
    const waiting = this.#waiting.get(reply.id);
    this.#waiting.delete(reply.id);
    if (reply.ok) waiting?.resolve(reply.value as never);
    else waiting?.reject(serveError(reply.kind, reply.message));
  }

  #fail(why: string): void {
    this.#failure ??= new StoreFailed(
      `cannot go on: lost the running server: ${why}; run the same command again`,
    );
    this.#socket.destroy();
    this.#onGreeted?.reject(this.#failure);
    for (const { reject } of this.#waiting.values()) reject(this.#failure);
    this.#waiting.clear();
  }
}
