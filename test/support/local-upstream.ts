/**
 * A GOPROXY on loopback: the corpus as a closed world, and made-up modules beside it.
 *
 * Its lists hold the versions that have a zip, so whatever `go` picks can be downloaded, and the
 * answers are the same whatever appears outside. It counts what it is asked, can be slow in both
 * ways (latency, bandwidth), and can hold a body back until a test lets it go on.
 * Faults live elsewhere: test/support/faulty-upstream.ts.
 */

import { once } from 'node:events';
import { openSync, readSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { corpusFiles } from './corpus.ts';
import { type MadeUpModule, madeUpFiles } from './module-zip.ts';

export type UpstreamOptions = {
  /** Root of a GOPROXY tree; without it only the made-up modules exist. */
  readonly root?: string;
  /** Where it listens on loopback; by default a free port. */
  readonly port?: number;
  /** Waited before each answer. */
  readonly latencyMs?: number;
  /** The line's bandwidth, shared by all answers; without it as fast as it goes. */
  readonly bytesPerSecond?: number;
  /** Send ETag and honour Range, If-Range and If-None-Match. The public mirror sends no ETag. */
  readonly validators?: boolean;
  readonly madeUp?: readonly MadeUpModule[];
  /** Below this path every module exists in every version, made up when it is asked for: never an end of what nobody has. */
  readonly endless?: { readonly prefix: string; readonly contentBytes: number };
  /** Branch names that stand for the highest version of every module. */
  readonly branches?: readonly string[];
};

/** What was asked so far. Paths are as on disk: `github.com/!azure/x/@v/list`. */
export type Counters = {
  readonly requests: { readonly [path: string]: number };
  readonly bodyBytes: number;
};

type Body = { readonly size: number; read(offset: number, length: number): Buffer };
type Held = { readonly afterBytes: number; readonly released: Promise<void> };

export class LocalUpstream {
  /** `http://127.0.0.1:PORT`, usable as GOPROXY. */
  readonly url: string;
  readonly #server: Server;
  readonly #options: UpstreamOptions;
  readonly #bodies = new Map<string, Body>();
  /** Versions that have a zip, by escaped module path, in rising order. */
  readonly #versions = new Map<string, string[]>();
  readonly #held = new Map<string, Held>();
  #requests = new Map<string, number>();
  #bodyBytes = 0;
  #lineFreeAtMs = 0;

  /** Resolves when it listens. */
  static async start(options: UpstreamOptions): Promise<LocalUpstream> {
    const server = createServer({ keepAliveTimeout: 60_000 });
    server.listen(options.port ?? 0, '127.0.0.1');
    await once(server, 'listening');
    return new LocalUpstream(server, options);
  }

  private constructor(server: Server, options: UpstreamOptions) {
    this.#server = server;
    this.#options = options;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    this.#load();
    server.on('request', (request, response) => {
      this.#answer(request, response).catch((error: unknown) => response.destroy(error as Error));
    });
  }

  get counters(): Counters {
    return { requests: Object.fromEntries(this.#requests), bodyBytes: this.#bodyBytes };
  }

  /** Requests for one path so far. */
  count(path: string): number {
    return this.#requests.get(path) ?? 0;
  }

  resetCounters(): void {
    this.#requests = new Map();
    this.#bodyBytes = 0;
  }

  /** Stops every answer for `path` after so many bytes of body, until the function returned is called. */
  hold(path: string, afterBytes: number): () => void {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#held.set(path, { afterBytes, released: promise });
    return () => {
      this.#held.delete(path);
      resolve();
    };
  }

  /** Stops at once; answers under way are cut off. */
  async close(): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, 'close');
  }

  #load(): void {
    const { root, madeUp = [] } = this.#options;
    if (root !== undefined) {
      for (const { path, size } of corpusFiles(root)) this.#add(path, fileBody(join(root, path), size));
    }
    for (const module of madeUp) {
      const prefix = `${escapeCapitals(module.path)}/@v/${escapeCapitals(module.version)}`;
      for (const [kind, bytes] of Object.entries(madeUpFiles(module))) {
        this.#add(`${prefix}.${kind}`, bytesBody(bytes));
      }
    }
    for (const versions of this.#versions.values()) versions.sort(compareVersions);
  }

  #add(path: string, body: Body): void {
    this.#bodies.set(path, body);
    const zip = /^(.*)\/@v\/(.*)\.zip$/.exec(path);
    if (zip === null) return;
    const [, module = '', version = ''] = zip;
    const versions = this.#versions.get(module) ?? [];
    versions.push(unescapeCapitals(version));
    this.#versions.set(module, versions);
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = decodeURIComponent((request.url ?? '/').slice(1));
    this.#requests.set(path, (this.#requests.get(path) ?? 0) + 1);
    if (this.#options.latencyMs !== undefined) await delay(this.#options.latencyMs);
    const body = this.#find(path);
    if (body === undefined) {
      response.writeHead(404, { 'content-type': 'text/plain; charset=UTF-8' });
      response.end(`not found: ${path}: unknown to the local upstream\n`);
      return;
    }
    const range =
      this.#options.validators === true ? this.#validate(request, response, path, body) : undefined;
    if (response.statusCode === 304 || response.statusCode === 416) {
      response.end();
      return;
    }
    const { start, end } = range ?? { start: 0, end: body.size };
    response.setHeader('content-type', contentType(path));
    response.setHeader('content-length', end - start);
    response.writeHead(response.statusCode);
    if (request.method === 'HEAD') response.end();
    else await this.#send(response, path, body, start, end);
  }

  #find(path: string): Body | undefined {
    const stored = this.#bodies.get(path) ?? this.#madeNow(path);
    if (stored !== undefined) return stored;
    const query = /^(.*)\/(@latest|@v\/list|@v\/([^/]*)\.info)$/.exec(path);
    const module = query?.[1] ?? '';
    const versions = this.#versions.get(module);
    if (query === null || versions === undefined) return undefined;
    if (query[2] === '@v/list') return textBody(versions.filter((version) => !isPseudo(version)));
    const isHead = query[2] === '@latest' || this.#options.branches?.includes(query[3] ?? '') === true;
    return isHead ? this.#bodies.get(`${module}/@v/${escapeCapitals(latest(versions))}.info`) : undefined;
  }

  /** One of the endless modules, made anew for each request. */
  #madeNow(path: string): Body | undefined {
    const { endless } = this.#options;
    if (endless === undefined || !path.startsWith(endless.prefix)) return undefined;
    const file = /^(.*)\/@v\/(.*)\.(info|mod|zip)$/.exec(path);
    if (file === null) return undefined;
    const [, module = '', version = '', kind] = file;
    const made = madeUpFiles({ path: module, version, contentBytes: endless.contentBytes });
    return bytesBody(made[kind as keyof typeof made]); // The pattern's own three.
  }

  /** Sets ETag and, where they apply, the status and headers of 206, 304 and 416. */
  #validate(request: IncomingMessage, response: ServerResponse, path: string, body: Body) {
    const etag = `"${Buffer.from(path).toString('base64url')}-${body.size}"`;
    response.setHeader('etag', etag);
    response.setHeader('accept-ranges', 'bytes');
    if (request.headers['if-none-match'] === etag) response.statusCode = 304;
    const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
    const ifRange = request.headers['if-range'];
    if (range === null || (ifRange !== undefined && ifRange !== etag)) return undefined;
    const start = Number(range[1]);
    const end = range[2] === '' ? body.size : Math.min(Number(range[2]) + 1, body.size);
    response.statusCode = start < end ? 206 : 416;
    response.setHeader(
      'content-range',
      start < end ? `bytes ${start}-${end - 1}/${body.size}` : `bytes */${body.size}`,
    );
    return { start, end };
  }

  async #send(response: ServerResponse, path: string, body: Body, start: number, end: number): Promise<void> {
    const { bytesPerSecond } = this.#options;
    const pieceBytes = bytesPerSecond === undefined ? PIECE_BYTES : SLOW_PIECE_BYTES;
    for (let at = start; at < end && !response.destroyed; ) {
      const held = this.#held.get(path);
      if (held !== undefined && at >= held.afterBytes) await held.released;
      const stop = Math.min(end, at + pieceBytes, this.#held.get(path)?.afterBytes ?? end);
      const piece = body.read(at, Math.max(stop, at + 1) - at);
      if (bytesPerSecond !== undefined) await this.#takeLine((piece.length / bytesPerSecond) * 1000);
      this.#bodyBytes += piece.length;
      at += piece.length;
      if (!response.write(piece) && !response.destroyed) await drained(response);
    }
    response.end();
  }

  /** Waits until the line has carried everything before, and takes it for `ms`. */
  async #takeLine(ms: number): Promise<void> {
    this.#lineFreeAtMs = Math.max(this.#lineFreeAtMs, performance.now()) + ms;
    await delay(this.#lineFreeAtMs - performance.now());
  }
}

/** Waits for room in the socket, or for its end. */
async function drained(response: ServerResponse): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  response.once('drain', resolve).once('close', resolve);
  await promise;
  response.off('drain', resolve).off('close', resolve);
}

function fileBody(file: string, size: number): Body {
  let descriptor: number | undefined;
  return {
    size,
    read(offset, length) {
      descriptor ??= openSync(file, 'r');
      const bytes = Buffer.allocUnsafe(Math.min(length, size - offset));
      readSync(descriptor, bytes, 0, bytes.length, offset);
      return bytes;
    },
  };
}

function textBody(lines: readonly string[]): Body {
  return bytesBody(Buffer.from(lines.map((line) => `${line}\n`).join('')));
}

function bytesBody(bytes: Buffer): Body {
  return { size: bytes.length, read: (at, length) => bytes.subarray(at, at + length) };
}

function contentType(path: string): string {
  if (path.endsWith('.zip')) return 'application/zip';
  if (path.endsWith('.info') || path.endsWith('/@latest')) return 'application/json';
  return 'text/plain; charset=UTF-8';
}

function escapeCapitals(plain: string): string {
  return plain.replace(/[A-Z]/g, (letter) => `!${letter.toLowerCase()}`);
}

function unescapeCapitals(escaped: string): string {
  return escaped.replace(/!([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

function isPseudo(version: string): boolean {
  return /^v[0-9]+\.(0\.0-|\d+\.\d+-([^+]*\.)?0\.)\d{14}-[A-Za-z0-9]+(\+.*)?$/.test(version);
}

/** Releases before pre-releases, as `go` answers "latest". */
function latest(rising: readonly string[]): string {
  return rising.findLast((version) => !version.includes('-')) ?? rising.at(-1) ?? '';
}

/** Semantic version order for canonical versions. */
function compareVersions(a: string, b: string): number {
  const [aCore = '', aPre = ''] = splitVersion(a);
  const [bCore = '', bPre = ''] = splitVersion(b);
  const core = aCore.localeCompare(bCore, 'en', { numeric: true });
  if (core !== 0) return core;
  if (aPre === '' || bPre === '') return Number(aPre === '') - Number(bPre === '');
  return aPre.localeCompare(bPre, 'en', { numeric: true });
}

function splitVersion(version: string): string[] {
  const bare = version.slice(1).replace(/\+.*$/, '');
  const dash = bare.indexOf('-');
  return dash < 0 ? [bare] : [bare.slice(0, dash), bare.slice(dash + 1)];
}

const PIECE_BYTES = 256 * 1024;
const SLOW_PIECE_BYTES = 16 * 1024;
