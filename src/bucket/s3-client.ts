/**
 * Requests to an S3 server: signed, bounded in number and time, sent again after what the server puts off, and none at all
 * while it counts as down.
 *
 * Keys are looked for anew when the server no longer takes them: another program may have renewed their file.
 */

import type * as http from 'node:http';
import type { IncomingMessage } from 'node:http';
import type * as https from 'node:https';
import { createRequire } from 'node:module';
import { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { getCACertificates } from 'node:tls';
import { NO_BODY } from '../core/cache-id.ts';
import { collect } from '../core/collect.ts';
import { isServeError, messageOf, UpstreamDown, UpstreamFailed } from '../core/errors.ts';
import { Gate } from '../core/gate.ts';
import type { ObjectBody } from '../core/object-store.ts';
import { UsageError } from '../core/usage-error.ts';
import { type BucketAddress, bucketUrl } from './bucket-address.ts';
import { CircuitBreaker } from './circuit-breaker.ts';
import {
  BUCKET_ANSWER_MS,
  BUCKET_BACKOFF_MS,
  BUCKET_ERROR_BYTES_MAX,
  BUCKET_QUEUE_MAX,
  BUCKET_REQUESTS_MAX,
  BUCKET_SILENCE_MS,
  BUCKET_TRIES_MAX,
  BUCKET_UPLOAD_ANSWER_MS,
} from './limits.ts';
import { errorCode } from './s3-answer.ts';
import type { Keys } from './server-keys.ts';
import { signed } from './signing.ts';

// Not by `import`: that reads all of their getters, one of which loads Node's own undici. Every start of a server paid for it.
const require = createRequire(import.meta.url);
const plain: typeof http = require('node:http');
const tls: typeof https = require('node:https');

export type S3ClientOptions = {
  readonly bucket: BucketAddress;
  readonly keys: Keys;
  /** Monotonic ms. */
  readonly now: () => number;
  /** Told of each request's status, and of a server that counts as down. */
  readonly events: {
    request(status: number | 'error'): void;
    down(why: string, forMs: number): void;
  };
};

export type S3Request = {
  readonly method: 'GET' | 'HEAD' | 'PUT';
  /** Below the bucket's URL, escaped. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: ObjectBody;
};

/** Answers to a condition, the last one of a server that knows none. */
const SAYING: ReadonlySet<number> = new Set([304, 409, 412, 501]);

/** Refusals of keys that ran out, or that this machine's clock is too far off for: with other keys, or later, it works. */
const KEYS_REFUSED: ReadonlySet<string> = new Set([
  'ExpiredToken',
  'InvalidAccessKeyId',
  'InvalidToken',
  'RequestExpired',
  'RequestTimeTooSkewed',
  'SignatureDoesNotMatch',
  'TokenRefreshRequired',
]);

export class S3Client {
  readonly #options: S3ClientOptions;
  readonly #url: URL;
  readonly #agent: http.Agent;
  readonly #gate: Gate;
  readonly #breaker: CircuitBreaker;
  #isClosed = false;

  constructor(options: S3ClientOptions) {
    this.#options = options;
    this.#url = bucketUrl(options.bucket);
    const settings = { keepAlive: true, maxSockets: BUCKET_REQUESTS_MAX, maxFreeSockets: 16 };
    this.#agent = this.#isHttps ? new tls.Agent({ ...settings, ca: trusted() }) : new plain.Agent(settings);
    this.#gate = new Gate({
      placesMax: BUCKET_REQUESTS_MAX,
      queueMax: BUCKET_QUEUE_MAX,
      full: `cannot ask ${this.name}: too many requests wait for it`,
    });
    this.#breaker = new CircuitBreaker(options.now, (why, forMs) => options.events.down(why, forMs));
  }

  /** For logs and errors. */
  get name(): string {
    return `bucket ${this.#options.bucket.name}`;
  }

  get isDown(): boolean {
    return this.#breaker.isOpen;
  }

  /** Looks for keys, so that a server does not start without. @throws {UsageError} there are none */
  async ready(): Promise<void> {
    try {
      await this.#options.keys.get();
    } catch (error) {
      if (!isServeError(error)) throw error; // Who has them may answer later.
    }
  }

  /** All that is under way fails, and all that comes. */
  close(): void {
    this.#isClosed = true;
    this.#agent.destroy();
  }

  /**
   * The first answer that says something: 2xx, 304, 404, 409, 412, 501, and a refusal of a HEAD. Its body must be read or destroyed.
   *
   * @throws {UpstreamDown} none came
   * @throws {UpstreamFailed} the request is refused
   * @throws {Busy} too many wait
   */
  async send(request: S3Request): Promise<IncomingMessage> {
    this.#refuseWhileDown();
    await this.#gate.enter();
    try {
      return await this.#trySeveral(request);
    } finally {
      this.#gate.leave();
    }
  }

  /** The code and the words of a refusal. Of the server's own text it has nothing but a short word. Reads the answer to its end. */
  async refusal(response: IncomingMessage): Promise<{ readonly code: string; readonly why: string }> {
    const text = await collect(response, BUCKET_ERROR_BYTES_MAX).catch(() => undefined);
    const code = errorCode(text?.toString('latin1') ?? '');
    const [region = ''] =
      /^[a-z0-9-]{1,64}$/.exec(response.headers['x-amz-bucket-region']?.toString() ?? '') ?? [];
    const isElsewhere = region !== '' && region !== this.#options.bucket.region;
    const hint = isElsewhere ? `: the bucket is in ${region}, see --region` : '';
    return { code, why: `status ${response.statusCode}${code && ` ${code}`}${hint}` };
  }

  /** A body that breaks off says as much of the server as a request that fails. */
  failed(error: unknown): void {
    this.#breaker.failed(messageOf(error));
  }

  async #trySeveral(request: S3Request): Promise<IncomingMessage> {
    for (let tries = 1; ; tries++) {
      this.#refuseWhileDown();
      const { response, why, mayWork, isSilent } = await this.#try(request);
      if (response !== undefined) return response;
      if (!mayWork) throw new UpstreamFailed(`cannot ask ${this.name}: ${why}`);
      // A server that hangs is not asked again: somebody waits.
      if (tries < BUCKET_TRIES_MAX && isSilent !== true) {
        await delay(BUCKET_BACKOFF_MS * 2 ** (tries - 1) * (0.5 + Math.random() / 2));
        continue;
      }
      this.#breaker.failed(why);
      throw new UpstreamDown(`cannot ask ${this.name}: ${why}`);
    }
  }

  /** One try. Without a `response` there is a reason; `mayWork`: another try, or one at another time, may go well. */
  async #try(request: S3Request): Promise<Try> {
    const { events } = this.#options;
    let response: IncomingMessage;
    try {
      response = await this.#exchange(request);
    } catch (error) {
      if (isServeError(error)) throw error; // The body can't be read here: no fault of the bucket.
      events.request('error');
      return { why: messageOf(error), mayWork: true, isSilent: error instanceof Silence };
    }
    const { statusCode: status = 0 } = response;
    events.request(status);
    if ((status >= 200 && status <= 299) || SAYING.has(status)) {
      this.#breaker.worked();
      return { response, why: '', mayWork: true };
    }
    const { code, why } = await this.refusal(response);
    if (status === 404 && code !== 'NoSuchBucket') {
      this.#breaker.worked();
      return { response, why, mayWork: true };
    }
    const isRefused = status === 400 || status === 401 || status === 403;
    const isRenewed = isRefused && (await this.#renewKeys());
    const mayWork = isPutOff(status) || isRenewed || KEYS_REFUSED.has(code) || code === 'NoSuchBucket';
    // Such an answer does not say whether the keys ran out or the object is absent.
    if (!mayWork && request.method === 'HEAD' && isRefused) return { response, why, mayWork };
    return { why, mayWork };
  }

  /** Whether there are others than before. The answer to a HEAD does not say why it was refused. */
  async #renewKeys(): Promise<boolean> {
    try {
      return await this.#options.keys.renew();
    } catch (error) {
      // Whoever renews the file may have removed it first: what the bucket said is the failure.
      if (!(error instanceof UsageError) && !isServeError(error)) throw error;
      return false;
    }
  }

  async #exchange({ method, path, query = {}, headers = {}, body }: S3Request): Promise<IncomingMessage> {
    const url = new URL(this.#url);
    url.pathname = `${url.pathname.replace(/\/$/, '')}${path}`;
    url.search = Object.entries(query)
      .map((pair) => pair.map(encodeURIComponent).join('='))
      .join('&');
    const { bucket } = this.#options;
    const length = body && { 'content-length': String(body.size) };
    const all = await signed({
      method,
      url,
      headers: { ...headers, ...length, 'x-amz-content-sha256': body?.sha256 ?? NO_BODY },
      region: bucket.region,
      credentials: await this.#options.keys.get(),
    });
    return this.#open(url, { method, headers: all, body });
  }

  #open(
    url: URL,
    {
      method,
      headers,
      body,
    }: { method: string; headers: Readonly<Record<string, string>>; body: ObjectBody | undefined },
  ): Promise<IncomingMessage> {
    const timeoutMs = body === undefined ? BUCKET_ANSWER_MS : BUCKET_UPLOAD_ANSWER_MS;
    return new Promise((resolve, reject) => {
      const send = this.#isHttps ? tls.request : plain.request;
      const request = send(url, { method, headers, agent: this.#agent, timeout: timeoutMs });
      request.on('timeout', () => request.destroy(new Silence(`no answer in ${timeoutMs} ms`)));
      request.on('error', reject);
      request.on('response', (response) => {
        request.setTimeout(BUCKET_SILENCE_MS);
        resolve(response);
      });
      if (body === undefined) request.end();
      else {
        const pieces = Readable.from(body.open(), { objectMode: true });
        pieces.on('error', (error: Error) => request.destroy(error)).pipe(request);
        request.on('close', () => pieces.destroy());
      }
    });
  }

  get #isHttps(): boolean {
    return this.#url.protocol === 'https:';
  }

  #refuseWhileDown(): void {
    if (this.#isClosed) throw new UpstreamDown(`cannot ask ${this.name}: closed`);
    if (this.isDown) throw new UpstreamDown(`cannot ask ${this.name}: it counts as down`);
  }
}

type Try = {
  readonly response?: IncomingMessage;
  readonly why: string;
  readonly mayWork: boolean;
  readonly isSilent?: boolean;
};

class Silence extends Error {}

/** SlowDown is 503. */
function isPutOff(status: number): boolean {
  return status === 408 || status === 429 || status === 500 || (status >= 502 && status <= 504);
}

/** The system's CAs beside Node's own, as `go` trusts them. */
function trusted(): string[] {
  return [...getCACertificates('default'), ...getCACertificates('system')];
}
