/** A door in front of a real S3 server: it fails as each test says, and tells what came through. */

import { request as ask, createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Answers a request in the server's place; false: it goes through. */
export type Fault = (...args: Parameters<RequestListener>) => boolean;

export class BucketDoor {
  fault: Fault = () => false;
  /** Before each request goes through. */
  delayMs = 0;
  /** The requests so far, such as `GET /bucket/mod/x`. */
  readonly asked: string[] = [];
  readonly #server = createServer();
  readonly #to: string;
  #port = 0;

  /** Resolves when it takes connections. @param to the server's URL */
  static async open(t: { after(fn: () => unknown): void }, to: string): Promise<BucketDoor> {
    const door = new BucketDoor(to);
    await door.reopen();
    door.#port = (door.#server.address() as AddressInfo).port;
    t.after(() => door.shut());
    return door;
  }

  private constructor(to: string) {
    this.#to = to;
    this.#server.on('request', (request, response) => {
      this.asked.push(`${request.method} ${request.url}`);
      if (this.fault(request, response)) return;
      const { method, url = '', headers } = request;
      const go = () => {
        const inner = ask(new URL(url, this.#to), { method, headers, setHost: false }, (answer) => {
          response.writeHead(answer.statusCode ?? 0, answer.headers);
          answer.pipe(response);
        });
        request.pipe(inner.on('error', () => response.destroy()));
      };
      if (this.delayMs > 0) setTimeout(go, this.delayMs);
      else go();
    });
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  count(what: RegExp): number {
    return this.asked.filter((line) => what.test(line)).length;
  }

  /** From now on connections are refused. */
  async shut(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
  }

  /** It takes connections again, at the same port. */
  async reopen(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(this.#port, '127.0.0.1', resolve));
  }
}

/** An error of an S3 server. */
export function s3Error(status: number, code: string): Fault {
  return (request, response) => {
    request.resume();
    response.writeHead(status, { 'content-type': 'application/xml' });
    response.end(`<?xml version="1.0"?><Error><Code>${code}</Code><Message>m</Message></Error>`);
    return true;
  };
}
