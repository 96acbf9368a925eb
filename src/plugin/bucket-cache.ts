/**
 * A bucket that machines share without a server, in go-cache-plugin's layout: below the prefix, `action/xx/<hex>` holds
 * `<output hex> <Unix ns>`, and `output/xx/<hex>` the raw bytes. Slow, wrong or gone, it is a miss.
 *
 * Objects are written once, the output before its action: `bucket-objects.ts`. An output is checked by its name, an action by
 * the signatures that S3 keeps beside its object, where this machine has keys. Without, who may write to the bucket may name
 * another output.
 */

import { joinSignatures, SIGNATURE_METADATA } from '../core/build-cache-wire.ts';
import { isCacheId, isCacheTime, NO_BODY } from '../core/cache-id.ts';
import { collect } from '../core/collect.ts';
import { BucketObjects, type StoreOptions } from './bucket-objects.ts';
import { type BucketServerOptions, sha256 } from './bucket-server.ts';
import type { LocalEntry } from './cache-directory.ts';
import { BUCKET_ACTION_BYTES_MAX, PLUGIN_DOWNLOAD_BYTES_MAX } from './limits.ts';
import type { LocalCache } from './local-cache.ts';
import type { Remote, UploadEnd } from './remote.ts';
import { isShareable, reachOfFile, type ShareCgo } from './shareable.ts';
import type { Signatures } from './signatures.ts';

export type BucketOptions = BucketServerOptions & {
  readonly shareCgo: ShareCgo;
  /** Decides which of the bucket's entries count. Each one must pass it. */
  readonly signatures: Pick<Signatures, 'accepts' | 'isTrusted' | 'sign'>;
};

/** An action's object. */
type ActionRecord = {
  readonly actionId: string;
  readonly outputId: string;
  readonly time: string;
  /** Whatever stands beside it. */
  readonly signatures: string | undefined;
};

export class BucketCache implements Remote {
  readonly #options: BucketOptions;
  readonly objects: BucketObjects;

  /** @throws {UsageError} there are no credentials */
  constructor(options: BucketOptions) {
    this.#options = options;
    this.objects = new BucketObjects(options);
  }

  get requests(): number {
    return this.objects.server.requests;
  }

  get wrong(): number {
    return this.objects.wrong;
  }

  get takesPuts(): boolean {
    return this.objects.server.takesPuts;
  }

  async get(actionId: string, local: LocalCache): Promise<LocalEntry | undefined> {
    if (!this.objects.server.isUp()) return undefined;
    try {
      const record = await this.#readAction(actionId);
      const entry = record && (await this.#readOutput(record, local));
      this.objects.server.worked();
      return entry;
    } catch (error) {
      this.objects.server.failed(error);
      return undefined;
    }
  }

  /** go-cache-plugin would give such an entry to all. */
  isHostBound(): boolean {
    return false;
  }

  async put(actionId: string, entry: LocalEntry): Promise<UploadEnd> {
    try {
      const { outputId, size, path } = entry;
      // A spool may be of a run that shared it otherwise.
      if (!isForAll(path, this.#options)) return 'refused';
      const output = this.#path('output', outputId);
      if (!(await this.objects.has(output, size))) {
        const end = await this.objects.store(output, { size, path }, outputId);
        if (end === 'later' || end === 'refused') return end;
      }
      const end = await this.#putAction(actionId, entry);
      if (end === 'stored') this.objects.server.worked();
      return end;
    } catch (error) {
      this.objects.server.failed(error);
      return 'later';
    }
  }

  /** @throws {Error} the server failed */
  async #putAction(actionId: string, { outputId, size, time }: LocalEntry): Promise<UploadEnd> {
    const signature = this.#options.signatures.sign({ actionId, outputId, size });
    const body = Buffer.from(`${outputId} ${time}`);
    const store = (options: StoreOptions) =>
      this.objects.store(this.#path('action', actionId), { size: body.length, body }, sha256(body), options);
    const end = await store(beside(signature));
    if (end !== 'there') return end;
    if (signature === undefined) return 'stored';
    const old = await this.#readAction(actionId);
    const others = old?.outputId === outputId ? old.signatures : undefined;
    if (old !== undefined && this.#options.signatures.isTrusted({ actionId, outputId, size }, others))
      return 'stored';
    // Its reader would make it again and again: this one holds for all.
    const last = await store({ ...beside(joinSignatures(signature, others)), isReplaced: true });
    return last === 'there' ? 'stored' : last;
  }

  close(): void {
    this.objects.server.close();
  }

  #path(kind: 'action' | 'output', id: string): string {
    return this.objects.path(`${kind}/${id.slice(0, 2)}/${id}`);
  }

  /** @throws {Error} the server failed */
  async #readAction(actionId: string): Promise<ActionRecord | undefined> {
    const path = this.#path('action', actionId);
    const response = await this.objects.open(path);
    if (response === undefined) return undefined;
    const text = (await collect(response, BUCKET_ACTION_BYTES_MAX))?.toString('latin1') ?? '';
    const [outputId, time, ...more] = text.trim().split(/\s+/);
    const signatures = response.headers[SIGNATURE_METADATA]?.toString();
    if (isCacheId(outputId) && isCacheTime(time) && more.length === 0)
      return { actionId, outputId, time, signatures };
    this.objects.noteWrong(path);
    return undefined;
  }

  /** @throws {Error} the server failed, or there is no place to write it */
  async #readOutput(
    { actionId, outputId, time, signatures }: ActionRecord,
    local: LocalCache,
  ): Promise<LocalEntry | undefined> {
    const path = this.#path('output', outputId);
    const response = outputId === NO_BODY ? undefined : await this.objects.open(path);
    const size = outputId === NO_BODY ? 0 : Number(response?.headers['content-length'] ?? Number.NaN);
    if (!(size <= PLUGIN_DOWNLOAD_BYTES_MAX)) {
      // An action whose output is gone is of no use to anybody.
      this.objects.noteWrong(response === undefined ? this.#path('action', actionId) : path);
      response?.destroy();
      return undefined;
    }
    if (!this.#options.signatures.accepts({ actionId, outputId, size }, signatures)) {
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
      this.objects.noteWrong(path);
      return undefined;
    }
  }
}

function beside(signature: string | undefined): StoreOptions {
  return signature === undefined ? {} : { metadata: { [SIGNATURE_METADATA]: signature } };
}

/** False too where its file is gone. */
function isForAll(path: string, { shareCgo }: Pick<BucketOptions, 'shareCgo'>): boolean {
  try {
    const reach = reachOfFile(path);
    return reach === 'all' || (reach === 'host' && shareCgo === 'on');
  } catch {
    return false;
  }
}
