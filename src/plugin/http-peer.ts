/**
 * An HTTP server that others share with this one, and that may be slow, wrong or gone: each request is bounded in time. After
 * a failure it is left alone for a while, twice as long each time.
 */

import { createReadStream } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { http, https, stream, tls } from '../core/node-modules.ts';
import type { LocalEntry } from './cache-directory.ts';
import {
  PLUGIN_PAUSE_MS,
  PLUGIN_PAUSE_MS_MAX,
  PLUGIN_UPLOAD_BYTES_PER_MS,
  PLUGIN_UPLOAD_IDLE_MS,
  PLUGIN_WHOLE_MS,
} from './limits.ts';
import { Line } from './line.ts';
import type { PackedOutput } from './packed-output.ts';
import type { UploadEnd } from './remote.ts';

export type PeerOptions = {
  readonly url: URL;
  /** To the first byte, and between two. */
  readonly timeoutMs: number;
  readonly now: () => number;
  readonly warn: (line: string) => void;
};

/** A file, bytes in memory, or frames as they are made. */
export type RequestBody = {
  readonly size: number;
  /** The answer is a stream, which may take any time as long as bytes come. */
  readonly isStream?: true;
} & (Pick<LocalEntry, 'path'> | { readonly body: Buffer } | Pick<PackedOutput, 'frames'>);

/** Statuses of a body that is not what it says, or too large. */
const UNFIT: ReadonlySet<number> = new Set([400, 413]);
/** Statuses of a server that has no room, or too much to do. */
const FULL: ReadonlySet<number> = new Set([429, 503, 507]);

export class HttpPeer {
  readonly #options: PeerOptions;
  /** Where uploads go, for the user. */
  readonly #place: string;
  /** Made with the first request: most commands find all that they ask for in the local directory. */
  #connections: Connections | undefined;
  readonly line: Line;
  /** That were sent so far. */
  requests = 0;
  #pausedUntilMs = 0;
  #pauseMs = PLUGIN_PAUSE_MS;
  #hasWarned = false;
  #mayWriteAtMs = 0;

  constructor(options: PeerOptions, place: string) {
    this.#options = options;
    this.#place = place;
    this.line = new Line(options.url.hostname);
  }

  /** Whether uploads make sense now. */
  get takesPuts(): boolean {
    return this.#options.now() >= this.#mayWriteAtMs && this.isUp();
  }

  close(): void {
    this.#connections?.agent.destroy();
  }

  /** How an upload ended. @param why its status, in words. @throws {Error} the server has failed */
  endOf(status: number, why = `status ${status}`): UploadEnd {
    if (status >= 200 && status <= 299) return 'stored';
    if (UNFIT.has(status)) return 'refused';
    const isDenied = status === 401 || status === 403;
    if (!isDenied && !FULL.has(status)) throw new Error(`upload: ${why}`);
    const { url, warn, now } = this.#options;
    if (this.#mayWriteAtMs === 0) warn(`${url.host} takes no uploads from here to ${this.#place}: ${why}`);
    // What is stored can be had all the same.
    this.#mayWriteAtMs = now() + (isDenied ? PLUGIN_PAUSE_MS_MAX : PLUGIN_PAUSE_MS);
    return 'later';
  }

  /** The status of an answer whose body says nothing. @throws {Error} no answer */
  async status(
    method: string,
    path: string,
    body?: RequestBody,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<number> {
    const response = await this.send(method, path, headers, body);
    response.resume();
    return response.statusCode ?? 0;
  }

  /** @param isStream the answer may take any time as long as bytes come. @throws {Error} no answer in time */
  send(
    method: string,
    path: string,
    headers: Readonly<Record<string, string>>,
    body?: RequestBody,
    isStream = body?.isStream === true,
  ): Promise<IncomingMessage> {
    const { timeoutMs } = this.#options;
    // Nobody waits for an upload, and a poor line takes a while to pass on what the kernel has taken.
    const isUpload = body !== undefined && !isStream;
    const idleMs = isUpload ? Math.max(timeoutMs, PLUGIN_UPLOAD_IDLE_MS) : timeoutMs;
    const wholeMs = PLUGIN_WHOLE_MS + (isUpload ? body.size / PLUGIN_UPLOAD_BYTES_PER_MS : 0);
    this.requests++;
    this.#connections ??= connectionsTo(this.#options.url);
    const { client, agent } = this.#connections;
    return new Promise((resolve, reject) => {
      const request = client.request(this.urlOf(path), {
        method,
        agent,
        timeout: idleMs,
        headers: {
          ...headers,
          ...(method === 'PUT' || body !== undefined ? { 'content-length': body?.size ?? 0 } : {}),
        },
      });
      const whole = setTimeout(() => request.destroy(new Error(`no whole answer in ${wholeMs} ms`)), wholeMs);
      request.on('timeout', () => request.destroy(new Error(`no answer in ${idleMs} ms`)));
      request.on('close', () => clearTimeout(whole));
      request.on('error', reject);
      let sentAtMs = performance.now();
      // Without the connecting: a process that has only begun takes 10 to 20 ms for it.
      request.on('socket', (socket) => {
        sentAtMs = performance.now();
        if (!socket.connecting) return;
        socket.once('connect', () => {
          sentAtMs = performance.now();
        });
      });
      request.on('response', (response) => {
        if (isStream) clearTimeout(whole);
        if (body === undefined) this.line.answered(performance.now() - sentAtMs);
        resolve(response);
      });
      if (body === undefined) request.end();
      else if ('body' in body) request.end(body.body);
      else {
        const pieces = 'path' in body ? createReadStream(body.path) : stream().Readable.from(body.frames);
        pieces.on('error', (error: Error) => request.destroy(error)).pipe(request);
        // A request that ends early reads no further, and the file would stay open.
        request.on('close', () => pieces.destroy());
      }
    });
  }

  /** Where a path below the server's URL is. */
  urlOf(path: string): URL {
    const url = new URL(this.#options.url);
    url.pathname = `${url.pathname.replace(/\/$/, '')}${path}`;
    return url;
  }

  /** False while it is left alone. */
  isUp(): boolean {
    return this.#options.now() >= this.#pausedUntilMs;
  }

  /** A request went as it should. */
  worked(): void {
    this.#pauseMs = PLUGIN_PAUSE_MS;
  }

  /** A request failed: the user is told once. */
  failed(error: unknown): void {
    // Requests that were open together fail together: they are one failure.
    if (!this.isUp()) return;
    this.#pausedUntilMs = this.#options.now() + this.#pauseMs;
    this.#pauseMs = Math.min(2 * this.#pauseMs, PLUGIN_PAUSE_MS_MAX);
    if (this.#hasWarned) return;
    this.#hasWarned = true;
    const why = error instanceof Error ? error.message : String(error);
    this.#options.warn(`goes on without ${this.#options.url.host}: ${why}`);
  }
}

type Connections = {
  readonly client: Pick<typeof import('node:http'), 'request'>;
  readonly agent: import('node:http').Agent;
};

function connectionsTo({ protocol }: URL): Connections {
  const isHttps = protocol === 'https:';
  const client = isHttps ? https() : http();
  const agent = new client.Agent({ keepAlive: true, maxSockets: 16, ...(isHttps && trusted()) });
  return { client, agent };
}

/** The system's CAs beside Node's own, as `go` trusts them. A Node before 22.15 knows its own only, and NODE_EXTRA_CA_CERTS. */
function trusted(): { readonly ca?: string[] } {
  const { getCACertificates } = tls();
  if (getCACertificates === undefined) return {};
  return { ca: [...getCACertificates('default'), ...getCACertificates('system')] };
}
