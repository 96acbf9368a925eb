/**
 * A bucket that machines share without a server, in go-cache-plugin's layout: below the prefix, `action/xx/<hex>` holds
 * `<output hex> <Unix ns>`, and `output/xx/<hex>` the raw bytes. Slow, wrong or gone, it is a miss.
 *
 * Objects are written once, with `If-None-Match: *`, the output before its action. One that this process found to be wrong is
 * written again. An output is checked by its name; an action can't be: who may write to the bucket may name another output.
 */

import type { IncomingMessage } from 'node:http';
import { keyPath } from '../bucket/bucket-address.ts';
import { isCacheId, isCacheTime } from '../core/cache-id.ts';
import { collect } from '../core/collect.ts';
import { BucketServer, type BucketServerOptions, NO_BODY, sha256 } from './bucket-server.ts';
import type { LocalEntry } from './cache-directory.ts';
import type { RequestBody } from './http-peer.ts';
import {
  BUCKET_ACTION_BYTES_MAX,
  BUCKET_ASKED_BYTES_MIN,
  BUCKET_WRONG_MAX,
  PLUGIN_DOWNLOAD_BYTES_MAX,
} from './limits.ts';
import type { LocalCache } from './local-cache.ts';
import type { Remote, UploadEnd } from './remote.ts';
import { isShareable, reachOfFile, type ShareCgo } from './shareable.ts';

export type BucketOptions = BucketServerOptions & { readonly shareCgo: ShareCgo };

/** An action's object. */
type ActionRecord = { readonly actionId: string; readonly outputId: string; readonly time: string };

export class BucketCache implements Remote {
  readonly #options: BucketOptions;
  readonly #server: BucketServer;
  /** Paths of objects that are to be replaced. */
  readonly #wrong = new Set<string>();
  /** Objects that were not what they should be. */
  wrong = 0;
  /** False: the server does not know `If-None-Match`. */
  #isConditional = true;
  #hasWarnedOfDenial = false;

  /** @throws {UsageError} there are no credentials */
  constructor(options: BucketOptions) {
    this.#options = options;
    this.#server = new BucketServer(options);
  }

  get requests(): number {
    return this.#server.requests;
  }

  get takesPuts(): boolean {
    return this.#server.takesPuts;
  }

  async get(actionId: string, local: LocalCache): Promise<LocalEntry | undefined> {
    if (!this.#server.isUp()) return undefined;
    try {
      const record = await this.#readAction(actionId);
      const entry = record && (await this.#readOutput(record, local));
      this.#server.worked();
      return entry;
    } catch (error) {
      this.#server.failed(error);
      return undefined;
    }
  }

  /** go-cache-plugin would give such an entry to all. */
  isHostBound(): boolean {
    return false;
  }

  async put(actionId: string, { outputId, size, time, path }: LocalEntry): Promise<UploadEnd> {
    try {
      // A spool may be of a run that shared it otherwise.
      if (!isForAll(path, this.#options)) return 'refused';
      const output = this.#path('output', outputId);
      if (!(await this.#has(output, size))) {
        const end = await this.#store(output, { size, path }, outputId);
        if (end !== 'stored') return end;
      }
      const body = Buffer.from(`${outputId} ${time}`);
      const action = this.#path('action', actionId);
      const end = await this.#store(action, { size: body.length, body }, sha256(body));
      if (end === 'stored') this.#server.worked();
      return end;
    } catch (error) {
      this.#server.failed(error);
      return 'later';
    }
  }

  close(): void {
    this.#server.close();
  }

  #path(kind: 'action' | 'output', id: string): string {
    return keyPath(this.#options.bucket.prefix, `${kind}/${id.slice(0, 2)}/${id}`);
  }

  /** @throws {Error} the server failed */
  async #readAction(actionId: string): Promise<ActionRecord | undefined> {
    const path = this.#path('action', actionId);
    const response = await this.#open(path);
    if (response === undefined) return undefined;
    const text = (await collect(response, BUCKET_ACTION_BYTES_MAX))?.toString('latin1') ?? '';
    const [outputId, time, ...more] = text.trim().split(/\s+/);
    if (isCacheId(outputId) && isCacheTime(time) && more.length === 0) return { actionId, outputId, time };
    this.#noteWrong(path);
    return undefined;
  }

  /** @throws {Error} the server failed, or there is no place to write it */
  async #readOutput(
    { actionId, outputId, time }: ActionRecord,
    local: LocalCache,
  ): Promise<LocalEntry | undefined> {
    const path = this.#path('output', outputId);
    const response = outputId === NO_BODY ? undefined : await this.#open(path);
    const size = outputId === NO_BODY ? 0 : Number(response?.headers['content-length'] ?? Number.NaN);
    if (!(size <= PLUGIN_DOWNLOAD_BYTES_MAX)) {
      // An action whose output is gone is of no use to anybody.
      this.#noteWrong(response === undefined ? this.#path('action', actionId) : path);
      response?.destroy();
      return undefined;
    }
    const put = local.beginPut({ outputId, size });
    try {
      if (response !== undefined)
        for await (const bytes of response as AsyncIterable<Buffer>) put.write(bytes);
    } catch (error) {
      put.abort();
      throw error;
    }
    try {
      const file = put.seal();
      const isGood = isShareable(put.start, file, this.#options);
      return isGood ? put.link({ actionId, path: file, time }) : undefined;
    } catch {
      put.abort();
      this.#noteWrong(path);
      return undefined;
    }
  }

  /** An object's answer, undefined where there is none for us. @throws {Error} the server failed */
  async #open(path: string): Promise<IncomingMessage | undefined> {
    const response = await this.#server.send('GET', path, {});
    if (response.statusCode === 200) return response;
    const { code, why } = await this.#server.refusal(response);
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

  /** Whether an output is there already, which is worth a question of its own where it is large. */
  async #has(path: string, size: number): Promise<boolean> {
    if (size < BUCKET_ASKED_BYTES_MIN || this.#wrong.has(path)) return false;
    const response = await this.#server.send('HEAD', path, {});
    response.resume();
    if (response.statusCode !== 200) return false;
    if (Number(response.headers['content-length']) === size) return true;
    this.#noteWrong(path);
    return false;
  }

  /** @throws {Error} the server failed */
  async #store(path: string, body: RequestBody, hash: string): Promise<UploadEnd> {
    const isOnce = this.#isConditional && !this.#wrong.has(path);
    const condition = isOnce ? { 'if-none-match': '*' } : {};
    const response = await this.#server.send('PUT', path, condition, { ...body, sha256: hash });
    const { statusCode: status = 0 } = response;
    const { code, why } = await this.#server.refusal(response);
    // It is there, or somebody writes it now.
    if (isOnce && (status === 412 || status === 409)) return 'stored';
    if (isOnce && status === 501) {
      this.#isConditional = false;
      return this.#store(path, body, hash);
    }
    // S3 says so of keys that ran out, too.
    if (status === 400 && !UNFIT.has(code)) throw new Error(`upload: ${why}`);
    const end = this.#server.endOf(status, why);
    if (end === 'stored') this.#wrong.delete(path);
    return end;
  }

  /** What is read from there is a miss, and what is put there replaces it. */
  #noteWrong(path: string): void {
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

/** False too where its file is gone. */
function isForAll(path: string, { shareCgo }: Pick<BucketOptions, 'shareCgo'>): boolean {
  try {
    const reach = reachOfFile(path);
    return reach === 'all' || (reach === 'host' && shareCgo === 'on');
  } catch {
    return false;
  }
}
