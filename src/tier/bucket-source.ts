/**
 * The bucket as a source of modules: files of versions that other nodes have put there.
 *
 * What comes from here is checked as an upstream's file is. Lists and `@latest` of the bucket are never read: which versions it
 * has is asked of a listing, and only when the upstream can't be reached.
 */

import { collect } from '../core/collect.ts';
import { isServeError, NotFound, UpstreamFailed } from '../core/errors.ts';
import type { ModulePath } from '../core/module-path.ts';
import type { ObjectRead, ObjectStore } from '../core/object-store.ts';
import type { FetchEvent, Fetched, ModuleRequest, ModuleSource } from '../core/ports.ts';
import { quote } from '../core/quote.ts';
import { isImmutable } from '../core/resource.ts';
import type { StoredVersion } from '../core/store-port.ts';
import { escapeVersion } from '../core/version.ts';
import { moduleObject } from './layout.ts';
import { DOWNLOAD_TRIES_MAX } from './limits.ts';
import { listedFiles } from './listed-files.ts';
import type { WrongObjects } from './wrong-objects.ts';

export type BucketSourceOptions = {
  readonly bucket: ObjectStore;
  /** For logs. */
  readonly label: string;
  readonly wrong: WrongObjects;
};

export class BucketSource implements ModuleSource {
  readonly name = 'bucket';
  readonly #options: BucketSourceOptions;

  constructor(options: BucketSourceOptions) {
    this.#options = options;
  }

  get isDown(): boolean {
    return this.#options.bucket.isDown;
  }

  async head(request: ModuleRequest): Promise<{ size: number; upstream: string }> {
    const { bucket, label } = this.#options;
    const info = await bucket.head(this.#object(request));
    if (info === undefined) throw this.#absent(request);
    return { size: info.size, upstream: label };
  }

  async whole(request: ModuleRequest): Promise<Fetched> {
    const { bucket, label } = this.#options;
    const object = await bucket.get(this.#object(request));
    if (object === undefined) throw this.#absent(request);
    const bytes = await collect(object.body, request.bytesMax);
    if (bytes === undefined) throw this.#tooLong(request);
    return { bytes: new Uint8Array(bytes), upstream: label };
  }

  async *stream(request: ModuleRequest): AsyncGenerator<FetchEvent, void, void> {
    const { resume } = request;
    let { object, offset } = await this.#open(request, resume?.offset ?? 0, resume?.validator.etag);
    yield this.#start(object, offset, request);
    for (let tries = 1; ; tries++) {
      try {
        for await (const bytes of object.body) {
          yield { kind: 'bytes', bytes };
          offset += bytes.byteLength;
          tries = 1;
        }
        return;
      } catch (error) {
        if (!isServeError(error) || tries >= DOWNLOAD_TRIES_MAX) throw error;
      }
      const next = await this.#open(request, offset, object.etag);
      if (next.offset !== offset) yield this.#start(next.object, next.offset, request);
      ({ object, offset } = next);
    }
  }

  /** A file that came from here was refused: it counts as absent, and is replaced when another source has it. */
  refused(path: string, why: string): void {
    this.#options.wrong.note(moduleObject(path), why);
  }

  /** The versions of which the bucket has a file. */
  async versions(module: ModulePath): Promise<StoredVersion[]> {
    const found = new Map<string, boolean>();
    for await (const { kind, version } of listedFiles(this.#options.bucket, module)) {
      const name = escapeVersion(version);
      found.set(name, found.get(name) === true || kind === 'info');
    }
    return [...found].map(([version, hasInfo]) => ({ version, hasInfo }));
  }

  /** From `offset` on if it is still the same object, else from the start. @throws {NotFound} there is none */
  async #open(
    request: ModuleRequest,
    offset: number,
    etag: string | undefined,
  ): Promise<{ object: ObjectRead; offset: number }> {
    const { bucket } = this.#options;
    const key = this.#object(request);
    const rest = offset > 0 && etag ? await bucket.get(key, { from: offset, etag }) : undefined;
    const object = rest ?? (await bucket.get(key));
    if (object === undefined) throw this.#absent(request);
    return { object, offset: rest === undefined ? 0 : offset };
  }

  #start({ size, etag }: ObjectRead, offset: number, request: ModuleRequest): FetchEvent {
    if (size > request.bytesMax) throw this.#tooLong(request);
    return { kind: 'start', offset, size, validator: etag ? { etag } : {}, upstream: this.#options.label };
  }

  /** @throws {NotFound} it is no file that the bucket is asked for */
  #object(request: ModuleRequest): string {
    const key = moduleObject(request.path);
    if (!isImmutable(request.resource) || this.#options.wrong.has(key)) throw this.#absent(request);
    return key;
  }

  #absent({ path }: ModuleRequest): NotFound {
    return new NotFound(`cannot find ${quote(path)} in the ${this.#options.label}`);
  }

  #tooLong({ path, bytesMax }: ModuleRequest): UpstreamFailed {
    return new UpstreamFailed(
      `cannot take ${quote(path)} from the ${this.#options.label}: over ${bytesMax} bytes`,
    );
  }
}
