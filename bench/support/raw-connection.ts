/**
 * A client's connection that throws bodies away as they come: one raw socket, one buffer.
 *
 * The load shares two cores with the server: an HTTP library would take more of them than the server
 * does. Answers must have a Content-Length; one without is an error.
 */

import { connect, type Socket } from 'node:net';

export type RawAnswer = { readonly isOk: boolean; readonly bodyBytes: number };

export class RawConnection {
  readonly #socket: Socket;
  readonly #host: string;
  /** Of the body under way; undefined: the head is being read. */
  #bodyLeft: number | undefined;
  #bodyBytes = 0;
  #head = '';
  #isOk = false;
  #asked: PromiseWithResolvers<RawAnswer> | undefined;

  constructor(url: string) {
    const { hostname, port, host } = new URL(url);
    this.#host = host;
    const buffer = Buffer.allocUnsafe(BUFFER_BYTES);
    const callback = (length: number) => {
      this.#take(buffer, length);
      return true;
    };
    this.#socket = connect({ host: hostname, port: Number(port), onread: { buffer, callback } });
    this.#socket.on('error', (error) => this.#asked?.reject(error));
    this.#socket.on('close', () => this.#asked?.reject(new Error('connection closed')));
  }

  /** One request at a time. Rejects when the connection ends before the answer does. */
  get(path: string): Promise<RawAnswer> {
    if (this.#socket.destroyed) return Promise.reject(new Error('connection closed'));
    this.#asked = Promise.withResolvers<RawAnswer>();
    this.#bodyLeft = undefined;
    this.#head = '';
    this.#socket.write(`GET /${path.replaceAll('!', '%21')} HTTP/1.1\r\nHost: ${this.#host}\r\n\r\n`);
    return this.#asked.promise;
  }

  close(): void {
    this.#asked = undefined;
    this.#socket.destroy();
  }

  #take(buffer: Buffer, length: number): void {
    let bodyBytes = length;
    if (this.#bodyLeft === undefined) {
      const before = this.#head.length;
      this.#head += buffer.toString('latin1', 0, Math.min(length, HEAD_BYTES));
      const end = this.#head.indexOf('\r\n\r\n');
      if (end < 0) return;
      const size = /^content-length: *(\d+)/im.exec(this.#head)?.[1];
      this.#isOk = size !== undefined && this.#head.startsWith('HTTP/1.1 200');
      this.#bodyBytes = Number(size ?? 0);
      this.#bodyLeft = this.#bodyBytes;
      bodyBytes = length - (end + 4 - before);
    }
    this.#bodyLeft -= bodyBytes;
    if (this.#bodyLeft > 0) return;
    const asked = this.#asked;
    this.#asked = undefined;
    asked?.resolve({ isOk: this.#isOk, bodyBytes: this.#bodyBytes });
  }
}

const BUFFER_BYTES = 256 * 1024;
const HEAD_BYTES = 4096;
