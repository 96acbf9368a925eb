/**
 * The objects of a bucket: each is written once, with `If-None-Match: *`, but one that this process found to be wrong is
 * written again. What is kept in them, its users know: `bucket-cache.ts`.
 */

import type { IncomingMessage } from 'node:http';
import { keyPath } from '../bucket/bucket-address.ts';
import { BucketServer, type BucketServerOptions } from './bucket-server.ts';
import type { RequestBody } from './http-peer.ts';
import { BUCKET_ASKED_BYTES_MIN, BUCKET_WRONG_MAX } from './limits.ts';
import type { UploadEnd } from './remote.ts';

/** `there`: an object of that path was there before. */
export type StoreEnd = UploadEnd | 'there';

export type StoreOptions = {
  /** Whatever is there now. */
  readonly isReplaced?: boolean;
  /** Headers that the server keeps beside the object. */
  readonly metadata?: Readonly<Record<string, string>>;
};

export class BucketObjects {
  readonly server: BucketServer;
  readonly #options: BucketServerOptions;
  /** Paths of objects that are to be replaced. */
  readonly #wrong = new Set<string>();
  /** Objects that were not what they should be. */
  wrong = 0;
  /** False: the server does not know `If-None-Match`. */
  #isConditional = true;
  #hasWarnedOfDenial = false;

  /** @throws {UsageError} there are no credentials */
  constructor(options: BucketServerOptions) {
    this.#options = options;
    this.server = new BucketServer(options);
  }

  /** The path of a key below the prefix. */
  path(key: string): string {
    return keyPath(this.#options.bucket.prefix, key);
  }

  /** An object's answer, undefined where there is none for us. @param isLong it may take any time. @throws {Error} the server failed */
  async open(path: string, { isLong = false } = {}): Promise<IncomingMessage | undefined> {
    const response = await this.server.send('GET', path, {}, undefined, isLong);
    if (response.statusCode === 200) return response;
    const { code, why } = await this.server.refusal(response);
    if (response.statusCode === 404 && code !== 'NoSuchBucket') return undefined;
    if (response.statusCode !== 403 || code !== 'AccessDenied') throw new Error(why);
    // To a key that may not list a bucket, S3 says so of all that is absent.
    if (!this.#hasWarnedOfDenial) {
      this.#options.warn(
        `${why} counts as a miss: these keys need s3:GetObject, and s3:ListBucket to tell what is absent`,
      );
    }
    this.#hasWarnedOfDenial = true;
    return undefined;
  }

  /** Whether an object is there already, which is worth a question of its own where it is large. @throws {Error} the server failed */
  async has(path: string, size: number): Promise<boolean> {
    if (size < BUCKET_ASKED_BYTES_MIN || this.#wrong.has(path)) return false;
    const response = await this.server.send('HEAD', path, {});
    response.resume();
    if (response.statusCode !== 200) return false;
    if (Number(response.headers['content-length']) === size) return true;
    this.noteWrong(path);
    return false;
  }

  /**
   * Writes an object where there is none, or instead of the one that is there.
   *
   * @param sha256 of the body, in hex
   * @throws {Error} the server failed
   */
  async store(
    path: string,
    body: RequestBody,
    sha256: string,
    { isReplaced = false, metadata = {} }: StoreOptions = {},
  ): Promise<StoreEnd> {
    const isOnce = !isReplaced && this.#isConditional && !this.#wrong.has(path);
    const headers = { ...metadata, ...(isOnce && { 'if-none-match': '*' }) };
    const response = await this.server.send('PUT', path, headers, { ...body, sha256 });
    const { statusCode: status = 0 } = response;
    const { code, why } = await this.server.refusal(response);
    // It is there, or somebody writes it now.
    if (isOnce && (status === 412 || status === 409)) return 'there';
    if (isOnce && status === 501) {
      this.#isConditional = false;
      return this.store(path, body, sha256, { metadata });
    }
    // S3 says so of keys that ran out, too.
    if (status === 400 && !UNFIT.has(code)) throw new Error(`upload: ${why}`);
    const end = this.server.endOf(status, why);
    if (end === 'stored') this.#wrong.delete(path);
    return end;
  }

  /** What is read from there is a miss, and what is put there replaces it. */
  noteWrong(path: string): void {
    if (this.#wrong.size < BUCKET_WRONG_MAX) this.#wrong.add(path);
    if (this.wrong++ === 0)
      this.#options.warn(`an object that is wrong or cut counts as a miss, as all such do: ${path}`);
  }
}

/** Codes of an upload whose own body is at fault. */
const UNFIT: ReadonlySet<string> = new Set([
  'BadDigest',
  'EntityTooLarge',
  'InvalidDigest',
  'XAmzContentSHA256Mismatch',
]);
