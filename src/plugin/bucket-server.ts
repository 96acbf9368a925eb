/** The S3 server of a bucket: requests are signed, and those that it puts off are sent again, a little later each time. */

import type { IncomingMessage } from 'node:http';
import { type BucketAddress, bucketUrl } from '../bucket/bucket-address.ts';
import type { Credentials } from '../bucket/credentials.ts';
import { signed } from '../bucket/signing.ts';
import { NO_BODY } from '../core/cache-id.ts';
import { collect } from '../core/collect.ts';
import { crypto } from '../core/node-modules.ts';
import { HttpPeer, type PeerOptions, type RequestBody } from './http-peer.ts';
import { BUCKET_BACKOFF_MS, BUCKET_ERROR_BYTES_MAX, BUCKET_TRIES } from './limits.ts';

export type BucketServerOptions = Omit<PeerOptions, 'url'> & {
  readonly bucket: BucketAddress;
  /** Reads them anew each time. */
  readonly findCredentials: () => Credentials;
};

/** A body, and its SHA-256 in hex: the server checks it. */
export type SignedBody = RequestBody & { readonly sha256: string };

export class BucketServer extends HttpPeer {
  readonly #options: BucketServerOptions;
  #credentials: Credentials | undefined;

  /** @throws {UsageError} there are no credentials */
  constructor(options: BucketServerOptions) {
    super({ ...options, url: bucketUrl(options.bucket) }, `the bucket ${options.bucket.name}`);
    this.#options = options;
    this.#credentials = options.findCredentials();
  }

  override async send(
    method: string,
    path: string,
    headers: Readonly<Record<string, string>>,
    body?: SignedBody,
    isStream = false,
  ): Promise<IncomingMessage> {
    for (let tries = 1; ; tries++) {
      const all = await this.#sign(method, path, headers, body);
      const response = await super.send(method, path, all, body, isStream);
      const { statusCode: status = 0 } = response;
      // They may have run out, and the file have others by the next request.
      if (status === 400 || status === 401 || status === 403) this.#credentials = undefined;
      if (!isPutOff(status) || tries === BUCKET_TRIES) return response;
      response.resume();
      await wait(BUCKET_BACKOFF_MS * 2 ** (tries - 1) * (0.5 + Math.random() / 2));
    }
  }

  async #sign(
    method: string,
    path: string,
    headers: Readonly<Record<string, string>>,
    body: SignedBody | undefined,
  ): Promise<Readonly<Record<string, string>>> {
    this.#credentials ??= this.#options.findCredentials();
    return signed({
      method,
      url: this.urlOf(path),
      headers: { ...headers, 'x-amz-content-sha256': body?.sha256 ?? NO_BODY },
      region: this.#options.bucket.region,
      credentials: this.#credentials,
    });
  }

  /** For the user. Of the server's own text it has nothing but short words of few characters. Reads the answer to its end. */
  async refusal(response: IncomingMessage): Promise<{ readonly code: string; readonly why: string }> {
    const { statusCode, headers } = response;
    const text = (await collect(response, BUCKET_ERROR_BYTES_MAX))?.toString('latin1') ?? '';
    const [, code = ''] = /<Code>([A-Za-z0-9.]{1,64})<\/Code>/.exec(text) ?? [];
    const [region = ''] = /^[a-z0-9-]{1,64}$/.exec(headers['x-amz-bucket-region']?.toString() ?? '') ?? [];
    const isElsewhere = region !== '' && region !== this.#options.bucket.region;
    const hint = isElsewhere ? `: the bucket is in ${region}, see --region` : '';
    return { code, why: `status ${statusCode}${code && ` ${code}`}${hint}` };
  }
}

export function sha256(bytes: Buffer): string {
  return crypto().createHash('sha256').update(bytes).digest('hex');
}

/** SlowDown is 503. */
function isPutOff(status: number): boolean {
  return status === 429 || status === 500 || (status >= 502 && status <= 504);
}

function wait(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
