/**
 * A Git server over HTTP or HTTPS on loopback: `git http-backend` behind Node's own server. Counts what it is asked for.
 *
 * Answers go through as they come, so a large repository takes no memory here.
 */

import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { gunzipSync } from 'node:zlib';

export type GitHttpOptions = {
  /** Its directories are the repositories. */
  readonly root: string;
  /** Speaks the first protocol only: such servers give no commit by its hash that no branch leads to. Its lists are not counted. */
  readonly isOld?: boolean;
  /** Default: everybody. Others get 401. */
  readonly isAllowed?: (request: IncomingMessage) => boolean;
  /** The page for a question with `?go-get=1`, allowed or not; undefined: as for all else. */
  readonly pageOf?: (request: IncomingMessage) => string | undefined;
  /** Files in PEM: it speaks HTTPS. */
  readonly tls?: { readonly certPath: string; readonly keyPath: string };
};

export type GitHttpCounts = {
  /** Times that refs were listed. */
  readonly lists: number;
  /** Requests for objects: one for each fetch, more where both sides negotiate. */
  readonly fetches: number;
  /** Bodies of all answers. */
  readonly bytes: number;
};

const NONE: GitHttpCounts = { lists: 0, fetches: 0, bytes: 0 };

export class GitHttpServer {
  /** `http://127.0.0.1:PORT`, or with https. */
  readonly url: string;
  readonly #server: Server;
  readonly #options: GitHttpOptions;
  #counts = NONE;

  /** Resolves when it listens. */
  static async start(options: GitHttpOptions): Promise<GitHttpServer> {
    const { tls } = options;
    const server =
      tls === undefined
        ? createServer()
        : createSecureServer({ cert: readFileSync(tls.certPath), key: readFileSync(tls.keyPath) });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new GitHttpServer(server, options);
  }

  private constructor(server: Server, options: GitHttpOptions) {
    this.#server = server;
    this.#options = options;
    const scheme = options.tls === undefined ? 'http' : 'https';
    this.url = `${scheme}://127.0.0.1:${(server.address() as AddressInfo).port}`;
    // A client that leaves early is its own affair.
    server.on('request', (request, response) => void this.#answer(request, response).catch(() => {}));
  }

  /** The counts since they were last taken. */
  takeCounts(): GitHttpCounts {
    const counts = this.#counts;
    this.#counts = NONE;
    return counts;
  }

  stop(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const page = request.url?.endsWith('?go-get=1') ? this.#options.pageOf?.(request) : undefined;
    if (page !== undefined) {
      response.end(page);
      return;
    }
    if (this.#options.isAllowed?.(request) === false) {
      response.writeHead(401, { 'www-authenticate': 'Basic realm="git"' }).end();
      return;
    }
    const body = Buffer.concat((await request.toArray()) as Buffer[]);
    this.#countCommand(request, body);
    const backend = spawn('git', ['http-backend'], {
      env: environment(request, this.#options),
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    response.on('close', () => backend.kill());
    backend.stdin.on('error', () => {}); // It may end before it has read all.
    backend.stdin.end(body);
    await pipeline(this.#bodyOf(backend.stdout, response), response);
  }

  /** Writes the status and the headers, and gives the rest. */
  async *#bodyOf(output: Readable, response: ServerResponse): AsyncGenerator<Buffer, void, void> {
    let head: Buffer | undefined = Buffer.alloc(0);
    for await (const piece of output as AsyncIterable<Buffer>) {
      let body = piece;
      if (head !== undefined) {
        head = Buffer.concat([head, piece]);
        const end = head.indexOf('\r\n\r\n');
        if (end < 0) continue;
        writeHead(response, head.toString('latin1', 0, end));
        body = head.subarray(end + 4);
        head = undefined;
      }
      this.#counts = { ...this.#counts, bytes: this.#counts.bytes + body.length };
      yield body;
    }
  }

  #countCommand(request: IncomingMessage, body: Buffer): void {
    const plain = request.headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body;
    const command = /^[0-9a-f]{4}command=(ls-refs|fetch)/.exec(plain.toString('latin1', 0, 64))?.[1];
    const { lists, fetches } = this.#counts;
    if (command === 'ls-refs') this.#counts = { ...this.#counts, lists: lists + 1 };
    if (command === 'fetch') this.#counts = { ...this.#counts, fetches: fetches + 1 };
  }
}

function environment(request: IncomingMessage, { root, isOld }: GitHttpOptions): NodeJS.ProcessEnv {
  const { pathname, search } = new URL(request.url ?? '/', 'http://x');
  return {
    PATH: process.env.PATH,
    GIT_PROJECT_ROOT: root,
    GIT_HTTP_EXPORT_ALL: '1',
    GIT_PROTOCOL: isOld === true ? '' : (request.headers['git-protocol']?.toString() ?? ''),
    REQUEST_METHOD: request.method,
    PATH_INFO: pathname,
    QUERY_STRING: search.slice(1),
    CONTENT_TYPE: request.headers['content-type'] ?? '',
    HTTP_CONTENT_ENCODING: request.headers['content-encoding'] ?? '',
    REMOTE_ADDR: '127.0.0.1',
  };
}

/** The head of a CGI program's answer, as an HTTP server's. */
function writeHead(response: ServerResponse, head: string): void {
  const lines = head.split('\r\n').map((line) => line.split(': '));
  const status = lines.find(([name]) => name === 'Status')?.[1] ?? '200';
  for (const [name = '', value = ''] of lines) if (name !== 'Status') response.setHeader(name, value);
  response.writeHead(Number(status.slice(0, 3)));
}
