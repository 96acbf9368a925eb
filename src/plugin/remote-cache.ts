/**
 * A server that shares build caches, as the cache program sees it: slow, wrong or gone, it is a miss, each bounded in time.
 * After a failure it is left alone for a while, twice as long each time. The wire: `core/build-cache-wire.ts`.
 */

import { createReadStream } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { createRequire } from 'node:module';
import { FILTER_HEADER, FILTER_PATH, type FilterNews } from '../core/action-filter.ts';
import {
  actionPath,
  NAMESPACE_HEADER,
  OUTPUT_ID_HEADER,
  outputPath,
  SIGNATURE_HEADER,
  SIZE_HEADER,
  TIME_HEADER,
} from '../core/build-cache-wire.ts';
import { isCacheId, isCacheTime, MAIN_NAMESPACE } from '../core/cache-id.ts';
import type { SessionName } from '../core/session-port.ts';
import {
  LABEL_HEADER,
  PREFETCH_HEADER,
  PROJECT_HEADER,
  sessionPath,
  shortIdsOf,
} from '../core/session-wire.ts';
import type { LocalEntry } from './cache-directory.ts';
import {
  FILTER_BYTES_MAX,
  PLUGIN_DOWNLOAD_BYTES_MAX,
  PLUGIN_PAUSE_MS,
  PLUGIN_PAUSE_MS_MAX,
  PLUGIN_UPLOAD_BYTES_PER_MS,
  PLUGIN_UPLOAD_IDLE_MS,
  PLUGIN_WHOLE_MS,
} from './limits.ts';
import { Line } from './line.ts';
import type { LocalCache } from './local-cache.ts';
import type { LocalPut } from './local-put.ts';
import { hasZstd, type PackedOutput, packOutput, unpacked } from './packed-output.ts';
import { isShareable } from './shareable.ts';
import type { Signatures } from './signatures.ts';

/** `import` of node:http would read all that it exports, a WebSocket client among it: 45 ms of each `go` command's start. */
const load = createRequire(import.meta.url);

export type RemoteOptions = {
  readonly url: URL;
  readonly token: string | undefined;
  /** To the first byte, and between two. */
  readonly timeoutMs: number;
  readonly shareCgo: boolean;
  readonly namespace: string;
  /** Decides which of the server's entries count. Each one must pass it. */
  readonly signatures: Pick<Signatures, 'accepts' | 'sign'>;
  readonly now: () => number;
  readonly warn: (line: string) => void;
};

/** A file, bytes in memory, or frames as they are made. */
type RequestBody = {
  readonly size: number;
  /** The answer is a stream, which may take any time as long as bytes come. */
  readonly isStream?: true;
} & (Pick<LocalEntry, 'path'> | { readonly body: Buffer } | Pick<PackedOutput, 'frames'>);

export type SessionWish = {
  /** IDs of actions that are here. */
  readonly held: Iterable<string>;
  readonly bytesMax: number;
};

export class RemoteCache {
  readonly #options: RemoteOptions;
  readonly #client: typeof import('node:http') | typeof import('node:https');
  readonly #agent: import('node:http').Agent;
  readonly #line: Line;
  /** That were sent so far. */
  requests = 0;
  #pausedUntilMs = 0;
  #pauseMs = PLUGIN_PAUSE_MS;
  #hasWarned = false;
  #mayWriteAtMs = 0;

  constructor(options: RemoteOptions) {
    this.#options = options;
    this.#line = new Line(options.url.hostname);
    const isHttps = options.url.protocol === 'https:';
    this.#client = load(isHttps ? 'node:https' : 'node:http');
    this.#agent = new this.#client.Agent({ keepAlive: true, maxSockets: 16, ...(isHttps && trusted()) });
  }

  /** Whether uploads make sense now. */
  get takesPuts(): boolean {
    return this.#options.now() >= this.#mayWriteAtMs && this.#isUp();
  }

  /** Fetches an action's output into the local directory. Never rejects: a failure is a miss. */
  async get(actionId: string, local: LocalCache): Promise<LocalEntry | undefined> {
    if (!this.#isUp()) return undefined;
    let put: LocalPut | undefined;
    try {
      const response = await this.#send('GET', actionPath(actionId), {
        ...this.#namespaceHeaders(),
        ...(this.#line.isFar && hasZstd() && { 'accept-encoding': 'zstd' }),
      });
      if (response.statusCode !== 200) {
        response.resume();
        if (response.statusCode !== 404) throw new Error(refusal(response.statusCode));
        this.#worked();
        return undefined;
      }
      const {
        [OUTPUT_ID_HEADER]: outputId,
        [TIME_HEADER]: time,
        [SIGNATURE_HEADER]: signatures,
        'content-length': length,
        'content-encoding': encoding,
        [SIZE_HEADER]: unpackedSize,
      } = response.headers;
      const size = Number((encoding === undefined ? length : unpackedSize) ?? Number.NaN);
      if (!isCacheId(outputId) || !isCacheTime(time) || !(size <= PLUGIN_DOWNLOAD_BYTES_MAX)) {
        response.destroy();
        throw new Error('not an answer of a build cache');
      }
      if (!this.#options.signatures.accepts({ actionId, outputId, size }, signatures?.toString())) {
        if (size > UNWANTED_BYTES_MAX) response.destroy();
        else response.resume();
        this.#worked();
        return undefined;
      }
      put = local.beginPut({ outputId, size });
      const body = response as AsyncIterable<Buffer>;
      for await (const bytes of encoding === undefined ? body : unpacked(body)) put.write(bytes);
      const path = put.seal();
      const isGood = isShareable(put.start, path, this.#options);
      const entry = isGood ? put.link({ actionId, path, time }) : undefined;
      this.#worked();
      return entry;
    } catch (error) {
      put?.abort();
      this.#failed(error);
      return undefined;
    }
  }

  /** Uploads an entry. False where it should be tried again at another time. */
  async put(actionId: string, entry: LocalEntry): Promise<boolean> {
    try {
      const known = await this.#status('HEAD', outputPath(entry.outputId));
      if (known !== 200) {
        const stored = await this.#putOutput(entry);
        if (!this.#accepted(stored)) return false;
      }
      const signature = this.#options.signatures.sign({ ...entry, actionId });
      const headers = {
        ...this.#namespaceHeaders(),
        [OUTPUT_ID_HEADER]: entry.outputId,
        [TIME_HEADER]: entry.time,
        ...(signature !== undefined && { [SIGNATURE_HEADER]: signature }),
      };
      const linked = await this.#status('PUT', actionPath(actionId), undefined, headers);
      // Where the server has another output for it, that one stays.
      if (linked !== 409 && !this.#accepted(linked)) return false;
      this.#worked();
      return true;
    } catch (error) {
      this.#failed(error);
      return false;
    }
  }

  /** Tells the server which actions a session used. Never rejects: it is a hint for others. */
  async putSession({ key, project, label }: SessionName, actionIds: Iterable<string>): Promise<void> {
    if (!this.takesPuts) return;
    try {
      const headers = { ...this.#namespaceHeaders(), [PROJECT_HEADER]: project, [LABEL_HEADER]: label };
      const body = shortIdsOf(actionIds);
      const response = await this.#send('PUT', sessionPath(key), headers, { size: body.length, body });
      response.resume();
    } catch (error) {
      this.#failed(error);
    }
  }

  /**
   * Asks for all that such a session asked for. Never rejects.
   *
   * @returns undefined: the server knows no such session, or none at all
   */
  async openSession(
    { key, project }: SessionName,
    { held, bytesMax }: SessionWish,
  ): Promise<IncomingMessage | undefined> {
    if (!this.#isUp()) return undefined;
    try {
      const headers = {
        ...this.#namespaceHeaders(),
        [PROJECT_HEADER]: project,
        [PREFETCH_HEADER]: String(bytesMax),
        ...((await this.#isFar()) && { 'accept-encoding': hasZstd() ? 'zstd' : 'br' }),
      };
      const body = shortIdsOf(held);
      const response = await this.#send('POST', sessionPath(key), headers, {
        size: body.length,
        body,
        isStream: true,
      });
      if (response.statusCode === 200) return response;
      response.resume();
      // An older server has no sessions.
      if (response.statusCode !== 404 && response.statusCode !== 405)
        throw new Error(refusal(response.statusCode));
      return undefined;
    } catch (error) {
      this.#failed(error);
      return undefined;
    }
  }

  /** What is new in the filter of a namespace. Never rejects; undefined: there is none to be had. */
  async getFilter(
    namespace: string,
    held: Pick<FilterNews, 'epoch' | 'serial'> | undefined,
  ): Promise<Buffer | undefined> {
    if (!this.#isUp()) return undefined;
    try {
      const response = await this.#send('GET', FILTER_PATH, {
        [NAMESPACE_HEADER]: namespace,
        ...(held !== undefined && { [FILTER_HEADER]: `${held.epoch}.${held.serial}` }),
      });
      // An older server has none.
      if (response.statusCode !== 200) {
        response.resume();
        return undefined;
      }
      const pieces: Buffer[] = [];
      let left = FILTER_BYTES_MAX;
      for await (const piece of response as AsyncIterable<Buffer>) {
        left -= piece.length;
        if (left < 0) throw new Error('a filter without end');
        pieces.push(piece);
      }
      return Buffer.concat(pieces);
    } catch (error) {
      this.#failed(error);
      return undefined;
    }
  }

  close(): void {
    this.#agent.destroy();
  }

  #namespaceHeaders(): Readonly<Record<string, string>> {
    const { namespace } = this.#options;
    return namespace === MAIN_NAMESPACE ? {} : { [NAMESPACE_HEADER]: namespace };
  }

  /** Asks the server for something short where only an answer can tell. */
  async #isFar(): Promise<boolean> {
    if (!this.#line.isKnown) await this.#status('HEAD', outputPath(NO_OUTPUT));
    return this.#line.isFar;
  }

  async #putOutput(entry: LocalEntry): Promise<number> {
    const packed = this.#line.isFar ? await packOutput(entry) : undefined;
    const headers =
      packed === undefined ? {} : { 'content-encoding': 'zstd', [SIZE_HEADER]: String(entry.size) };
    return this.#status('PUT', outputPath(entry.outputId), packed ?? entry, headers);
  }

  #accepted(status: number): boolean {
    if (status === 401 || status === 403) {
      const { url, namespace, warn } = this.#options;
      if (this.#mayWriteAtMs === 0)
        warn(`${url.host} takes no uploads from here to the namespace ${namespace}: status ${status}`);
      this.#mayWriteAtMs = this.#options.now() + PLUGIN_PAUSE_MS_MAX;
      return false;
    }
    if (status < 200 || status > 299) throw new Error(`upload: status ${status}`);
    return true;
  }

  async #status(
    method: string,
    path: string,
    body?: RequestBody,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<number> {
    const response = await this.#send(method, path, headers, body);
    response.resume();
    return response.statusCode ?? 0;
  }

  #send(
    method: string,
    path: string,
    headers: Readonly<Record<string, string>>,
    body?: RequestBody,
  ): Promise<IncomingMessage> {
    const { url, token, timeoutMs } = this.#options;
    // Nobody waits for an upload, and a poor line takes a while to pass on what the kernel has taken.
    const isUpload = body !== undefined && body.isStream !== true;
    const idleMs = isUpload ? Math.max(timeoutMs, PLUGIN_UPLOAD_IDLE_MS) : timeoutMs;
    const wholeMs = PLUGIN_WHOLE_MS + (isUpload ? body.size / PLUGIN_UPLOAD_BYTES_PER_MS : 0);
    this.requests++;
    return new Promise((resolve, reject) => {
      const request = this.#client.request(new URL(`${url.pathname.replace(/\/$/, '')}${path}`, url), {
        method,
        agent: this.#agent,
        timeout: idleMs,
        headers: {
          ...headers,
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
          ...(method === 'PUT' || body !== undefined ? { 'content-length': body?.size ?? 0 } : {}),
        },
      });
      const whole = setTimeout(() => request.destroy(new Error(`no whole answer in ${wholeMs} ms`)), wholeMs);
      request.on('timeout', () => request.destroy(new Error(`no answer in ${idleMs} ms`)));
      request.on('close', () => clearTimeout(whole));
      request.on('error', reject);
      const sentAtMs = performance.now();
      request.on('response', (response) => {
        if (body?.isStream === true) clearTimeout(whole);
        if (body === undefined) this.#line.answered(performance.now() - sentAtMs);
        resolve(response);
      });
      if (body === undefined) request.end();
      else if ('body' in body) request.end(body.body);
      else {
        const stream: typeof import('node:stream') = load('node:stream');
        const pieces = 'path' in body ? createReadStream(body.path) : stream.Readable.from(body.frames);
        pieces.on('error', (error: Error) => request.destroy(error)).pipe(request);
      }
    });
  }

  #isUp(): boolean {
    return this.#options.now() >= this.#pausedUntilMs;
  }

  #worked(): void {
    this.#pauseMs = PLUGIN_PAUSE_MS;
  }

  #failed(error: unknown): void {
    // Requests that were open together fail together: they are one failure.
    if (!this.#isUp()) return;
    this.#pausedUntilMs = this.#options.now() + this.#pauseMs;
    this.#pauseMs = Math.min(2 * this.#pauseMs, PLUGIN_PAUSE_MS_MAX);
    if (this.#hasWarned) return;
    this.#hasWarned = true;
    const why = error instanceof Error ? error.message : String(error);
    this.#options.warn(`goes on without ${this.#options.url.host}: ${why}`);
  }
}

/** No output has this SHA-256. */
const NO_OUTPUT = '0'.repeat(64);

/** An answer that is not wanted is read to its end where that costs less than another connection. */
const UNWANTED_BYTES_MAX = 64 * 1024;

function refusal(status: number | undefined): string {
  const isLogin = status === 401 || status === 403;
  return `status ${status}${isLogin ? ': reading needs a token with the scope cache-read, see --token-file' : ''}`;
}

/** The system's CAs beside Node's own, as `go` trusts them. A Node before 22.15 knows its own only, and NODE_EXTRA_CA_CERTS. */
function trusted(): { readonly ca?: string[] } {
  const tls: Partial<typeof import('node:tls')> = load('node:tls');
  if (tls.getCACertificates === undefined) return {};
  return { ca: [...tls.getCACertificates('default'), ...tls.getCACertificates('system')] };
}
