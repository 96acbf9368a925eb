/** An object store in an S3 bucket, below its prefix. Follows the S3 API: GetObject, HeadObject, PutObject, ListObjectsV2. */

import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { collect } from '../core/collect.ts';
import { messageOf, UpstreamDown, UpstreamFailed } from '../core/errors.ts';
import {
  OBJECT_NOTE_LENGTH_MAX,
  type ObjectBody,
  type ObjectInfo,
  type ObjectPage,
  type ObjectRead,
  type ObjectStore,
} from '../core/object-store.ts';
import { keyPath } from './bucket-address.ts';
import { BUCKET_PAGE_BYTES_MAX } from './limits.ts';
import { parsePage } from './s3-answer.ts';
import { S3Client, type S3ClientOptions } from './s3-client.ts';

const NOTE = 'x-amz-meta-astera-note';
const CHECKSUM = 'x-amz-checksum-sha256';

export class S3ObjectStore implements ObjectStore {
  readonly #client: S3Client;
  readonly #prefix: string;
  /** False: the server does not know `If-None-Match`. Then it is asked first. */
  #isConditional = true;

  constructor(options: S3ClientOptions) {
    this.#client = new S3Client(options);
    this.#prefix = options.bucket.prefix;
  }

  get isDown(): boolean {
    return this.#client.isDown;
  }

  /** @throws {UsageError} there are no keys */
  ready(): Promise<void> {
    return this.#client.ready();
  }

  close(): void {
    this.#client.close();
  }

  async get(
    key: string,
    range?: { readonly from: number; readonly etag: string },
  ): Promise<ObjectRead | undefined> {
    const headers: Record<string, string> =
      range === undefined ? {} : { range: `bytes=${range.from}-`, 'if-match': range.etag };
    const response = await this.#client.send({ method: 'GET', path: this.#path(key), headers });
    const { statusCode: status } = response;
    const from = range?.from ?? 0;
    if (status === (range === undefined ? 200 : 206)) {
      const size = sizeOf(response, from);
      if (size !== undefined) return { ...infoOf(response.headers, size), body: this.#body(response) };
    }
    response.destroy();
    // Of a version that is no more there is none.
    if (status === 404 || status === 412) return undefined;
    throw new UpstreamFailed(
      `cannot read from ${this.#client.name}: status ${status} without a fitting length`,
    );
  }

  async head(key: string): Promise<ObjectInfo | undefined> {
    const headers = { 'x-amz-checksum-mode': 'ENABLED' };
    const response = await this.#client.send({ method: 'HEAD', path: this.#path(key), headers });
    response.resume();
    const { statusCode: status } = response;
    const size = sizeOf(response, 0);
    if (status === 200 && size !== undefined) return infoOf(response.headers, size);
    // A refusal has no words here: a get or a put will say why.
    if (status === 404 || status === 400 || status === 401 || status === 403) return undefined;
    throw new UpstreamFailed(`cannot ask ${this.#client.name}: status ${status} without a length`);
  }

  async put(key: string, body: ObjectBody, { isOnce }: { isOnce: boolean }): Promise<'stored' | 'present'> {
    const isConditional = isOnce && this.#isConditional;
    if (isOnce && !isConditional && (await this.head(key)) !== undefined) return 'present';
    const headers: Record<string, string> = {
      [CHECKSUM]: Buffer.from(body.sha256, 'hex').toString('base64'),
      ...(isConditional && { 'if-none-match': '*' }),
      ...(body.note !== undefined && { [NOTE]: body.note }),
    };
    const response = await this.#client.send({ method: 'PUT', path: this.#path(key), headers, body });
    const { statusCode: status = 0 } = response;
    const { why } = await this.#client.refusal(response);
    if (status >= 200 && status <= 299) return 'stored';
    // 409: somebody else writes it now.
    if (isOnce && (status === 412 || status === 409)) return 'present';
    if (isConditional && status === 501) {
      this.#isConditional = false;
      return this.put(key, body, { isOnce });
    }
    throw new UpstreamFailed(`cannot write to ${this.#client.name}: ${why}`);
  }

  async list({ prefix, next }: { prefix: string; next?: string | undefined }): Promise<ObjectPage> {
    const whole = this.#whole(prefix);
    const query = {
      ...(next !== undefined && { 'continuation-token': next }),
      'list-type': '2',
      prefix: whole,
    };
    const response = await this.#client.send({ method: 'GET', path: '/', query });
    try {
      if (response.statusCode !== 200) throw new Error(`status ${response.statusCode}`);
      const xml = await collect(response, BUCKET_PAGE_BYTES_MAX);
      if (xml === undefined) throw new Error(`a page over ${BUCKET_PAGE_BYTES_MAX} bytes`);
      const page = parsePage(xml.toString('utf8'));
      const cut = whole.length - prefix.length;
      const objects = page.objects.flatMap(({ key, size }) =>
        key.startsWith(whole) ? [{ key: key.slice(cut), size }] : [],
      );
      return { ...page, objects };
    } catch (error) {
      throw new UpstreamFailed(`cannot list ${this.#client.name}: ${messageOf(error)}`, { cause: error });
    } finally {
      response.destroy();
    }
  }

  async *#body(response: IncomingMessage): AsyncGenerator<Uint8Array, void, void> {
    try {
      // A copy of its own: Node cuts small pieces out of a buffer that others share.
      for await (const piece of response as AsyncIterable<Buffer>) yield new Uint8Array(piece);
    } catch (error) {
      this.#client.failed(error);
      throw new UpstreamDown(`cannot go on reading from ${this.#client.name}: ${messageOf(error)}`, {
        cause: error,
      });
    } finally {
      response.destroy();
    }
  }

  #path(key: string): string {
    return keyPath(this.#prefix, key);
  }

  #whole(key: string): string {
    return this.#prefix === '' ? key : `${this.#prefix}/${key}`;
  }
}

/** Of the whole object, whose bytes begin at `from` here; undefined if the server does not say it. */
function sizeOf({ headers, statusCode }: IncomingMessage, from: number): number | undefined {
  const length = /^[0-9]{1,15}$/.exec(headers['content-length'] ?? '')?.[0];
  if (length === undefined) return undefined;
  if (statusCode !== 206) return Number(length);
  const [, first, size] = /^bytes ([0-9]+)-[0-9]+\/([0-9]{1,15})$/.exec(headers['content-range'] ?? '') ?? [];
  return Number(first) === from && Number(size) === from + Number(length) ? Number(size) : undefined;
}

function infoOf(headers: IncomingHttpHeaders, size: number): ObjectInfo {
  const checksum = headers[CHECKSUM]?.toString() ?? '';
  const isWhole = /^[A-Za-z0-9+/]{43}=$/.test(checksum);
  const note = headers[NOTE]?.toString();
  const isNote = note !== undefined && note.length <= OBJECT_NOTE_LENGTH_MAX && /^[\x20-\x7e]+$/.test(note);
  return {
    size,
    etag: headers.etag ?? '',
    sha256: isWhole ? Buffer.from(checksum, 'base64').toString('hex') : undefined,
    note: isNote ? note : undefined,
  };
}
