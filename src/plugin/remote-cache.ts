/**
 * A server's gets and puts, as the cache program sees them: slow, wrong or gone, it is a miss. The wire:
 * `core/build-cache-wire.ts`, and `core/puts-wire.ts` for many puts together.
 */

import { readFileSync } from 'node:fs';
import {
  actionPath,
  BASE_HEADER,
  DELTA_ENCODING,
  OUTPUT_ID_HEADER,
  outputPath,
  SIGNATURE_HEADER,
  SIZE_HEADER,
  TIME_HEADER,
} from '../core/build-cache-wire.ts';
import { isCacheId, isCacheTime } from '../core/cache-id.ts';
import { collect } from '../core/collect.ts';
import { encodePut, PUT_OUTCOME, PUTS_BYTES_MAX, PUTS_PATH, type PutRecord } from '../core/puts-wire.ts';
import { soon } from '../core/soon.ts';
import type { LocalEntry } from './cache-directory.ts';
import { HOST_MARK, HOST_MARK_ID, type HostBound } from './host-bound.ts';
import { PLUGIN_DOWNLOAD_BYTES_MAX, PLUGIN_WHOLE_MS } from './limits.ts';
import type { LocalCache } from './local-cache.ts';
import type { LocalPut } from './local-put.ts';
import type { DeltaBody, PackageVersions } from './package-versions.ts';
import { hasZstd, packOutput, unpacked } from './packed-output.ts';
import type { NamedEntry, Remote, UploadEnd } from './remote.ts';
import { RemoteServer, refusal, type ServerOptions } from './remote-server.ts';
import { isShareable, reachOf, reachOfFile, type ShareCgo } from './shareable.ts';
import type { Signatures } from './signatures.ts';

export type RemoteOptions = ServerOptions & {
  readonly shareCgo: ShareCgo;
  /** Of `--share-cgo=same-host`. */
  readonly host: Pick<HostBound, 'actionFor'>;
  /** Decides which of the server's entries count. Each one must pass it. */
  readonly signatures: Pick<Signatures, 'accepts' | 'sign'>;
  /** Undefined: outputs are put whole. */
  readonly versions?: PackageVersions | undefined;
};

type FetchOptions = {
  readonly local: LocalCache;
  /** The action that `go` asked for. */
  readonly linkTo: string;
  /** It is asked for by the ID that it has for this host. */
  readonly isHostBound: boolean;
};

export class RemoteCache implements Remote {
  readonly server: RemoteServer;
  /** Bytes of outputs that were put as deltas, and bytes of these. */
  readonly deltaPuts = { content: 0, bytes: 0 };
  readonly #options: RemoteOptions;
  #takesDeltas = true;

  constructor(options: RemoteOptions) {
    this.#options = options;
    this.server = new RemoteServer(options);
  }

  get requests(): number {
    return this.server.requests;
  }

  get takesPuts(): boolean {
    return this.server.takesPuts;
  }

  async get(actionId: string, local: LocalCache): Promise<LocalEntry | undefined> {
    const { shareCgo, host } = this.#options;
    const found = await this.#fetch(actionId, { local, linkTo: actionId, isHostBound: false });
    if (found !== 'host-bound') return found;
    const ownId =
      shareCgo === 'same-host' ? await soon(host.actionFor(actionId), PLUGIN_WHOLE_MS) : undefined;
    if (ownId === undefined) return undefined;
    const own = await this.#fetch(ownId, { local, linkTo: actionId, isHostBound: true });
    return own === 'host-bound' ? undefined : own;
  }

  async #fetch(
    actionId: string,
    { local, linkTo, isHostBound }: FetchOptions,
  ): Promise<LocalEntry | 'host-bound' | undefined> {
    if (!this.server.isUp()) return undefined;
    let put: LocalPut | undefined;
    try {
      const response = await this.server.send('GET', actionPath(actionId), {
        ...this.server.namespaceHeaders(),
        ...(this.server.line.isFar && hasZstd() && { 'accept-encoding': 'zstd' }),
      });
      if (response.statusCode !== 200) {
        response.resume();
        if (response.statusCode !== 404) throw new Error(refusal(response.statusCode));
        this.server.worked();
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
        this.server.worked();
        return undefined;
      }
      if (outputId === HOST_MARK_ID) {
        response.resume();
        this.server.worked();
        return 'host-bound';
      }
      put = local.beginPut({ outputId, size });
      const body = response as AsyncIterable<Buffer>;
      for await (const bytes of encoding === undefined ? body : unpacked(body)) put.write(bytes);
      const path = put.seal();
      const isGood = isHostBound
        ? reachOf(put.start, path) === 'host'
        : isShareable(put.start, path, this.#options);
      const entry = isGood ? put.link({ actionId: linkTo, path, time }) : undefined;
      this.server.worked();
      return entry;
    } catch (error) {
      put?.abort();
      this.server.failed(error);
      return undefined;
    }
  }

  isHostBound(entry: LocalEntry): boolean {
    if (this.#options.shareCgo !== 'same-host') return false;
    try {
      return reachOfFile(entry.path) === 'host';
    } catch {
      return true; // Its file is gone. Apart it is never wrong.
    }
  }

  async put(actionId: string, entry: LocalEntry): Promise<UploadEnd> {
    const putOutput = () => this.#putOutput(entry);
    if (!this.isHostBound(entry)) return this.#put(actionId, entry, putOutput);
    const ownId = await this.#options.host.actionFor(actionId);
    if (ownId === undefined) return 'refused'; // It stays here.
    const mark = { ...entry, outputId: HOST_MARK_ID, size: HOST_MARK.length };
    const body = { size: mark.size, body: HOST_MARK };
    const putMark = () => this.server.status('PUT', outputPath(HOST_MARK_ID), body);
    const end = await this.#put(ownId, entry, putOutput);
    return end === 'stored' ? this.#put(actionId, mark, putMark) : end;
  }

  async #put(actionId: string, entry: LocalEntry, putOutput: () => Promise<number>): Promise<UploadEnd> {
    try {
      const known = await this.server.status('HEAD', outputPath(entry.outputId));
      if (known !== 200) {
        const end = this.server.endOf(await putOutput());
        if (end !== 'stored') return end;
      }
      const signature = this.#options.signatures.sign({ ...entry, actionId });
      const headers = {
        ...this.server.namespaceHeaders(),
        [OUTPUT_ID_HEADER]: entry.outputId,
        [TIME_HEADER]: entry.time,
        ...(signature !== undefined && { [SIGNATURE_HEADER]: signature }),
      };
      const linked = await this.server.status('PUT', actionPath(actionId), undefined, headers);
      // Where the server has another output for it, that one stays.
      const end = linked === 409 ? 'stored' : this.server.endOf(linked);
      if (end === 'stored') this.server.worked();
      return end;
    } catch (error) {
      this.server.failed(error);
      return 'later';
    }
  }

  async putMany(puts: readonly NamedEntry[]): Promise<readonly UploadEnd[] | undefined> {
    try {
      // One whose file is gone, or can't be read, is done with.
      const made = await Promise.all(puts.map((put) => this.#recordOf(put).catch(() => undefined)));
      const records = made.filter((record) => record !== undefined);
      if (records.length === 0) return puts.map(() => 'stored');
      const body = Buffer.concat(records.map(encodePut));
      const headers = this.server.namespaceHeaders();
      const response = await this.server.send('POST', PUTS_PATH, headers, { size: body.length, body });
      if (response.statusCode === 404 || response.statusCode === 405) {
        response.resume();
        return undefined;
      }
      const said = await collect(response, PUTS_BYTES_MAX);
      const end = this.server.endOf(response.statusCode ?? 0);
      // None of them may be at fault alone: each is told of by itself.
      if (end === 'refused') throw new Error(`upload: status ${response.statusCode}`);
      if (end === 'later') return puts.map(() => end);
      if (said?.length !== records.length) throw new Error('upload: not an answer to it');
      this.server.worked();
      const wrong = records.filter((_, at) => said[at] === PUT_OUTCOME.wrong).map(({ actionId }) => actionId);
      // Of those whose action has another output, that one stays.
      return puts.map(({ actionId }) => (wrong.includes(actionId) ? 'refused' : 'stored'));
    } catch (error) {
      this.server.failed(error);
      return puts.map(() => 'later');
    }
  }

  close(): void {
    this.server.close();
  }

  /** @throws {Error} the file can't be read, or has another size */
  async #recordOf({ actionId, entry }: NamedEntry): Promise<PutRecord> {
    const packed = this.server.line.isFar ? await packOutput(entry) : undefined;
    const pieces: Uint8Array[] = [];
    if (packed === undefined) pieces.push(readFileSync(entry.path));
    else for await (const frame of packed.frames) pieces.push(frame);
    return {
      ...entry,
      actionId,
      isPacked: packed !== undefined,
      note: this.#options.signatures.sign({ ...entry, actionId }),
      body: Buffer.concat(pieces),
    };
  }

  async #putOutput(entry: LocalEntry): Promise<number> {
    const versions = this.server.line.isFar ? this.#options.versions : undefined;
    const key = versions?.keyOf(entry);
    if (versions === undefined || key === undefined) return this.#putWhole(entry);
    const delta = this.#takesDeltas ? await versions.deltaOf(entry, key) : undefined;
    const status = (delta && (await this.#putDelta(entry, delta))) ?? (await this.#putWhole(entry));
    if (status >= 200 && status <= 299) versions.note(key, entry.outputId);
    return status;
  }

  /** Undefined: the output is to be put whole. */
  async #putDelta(entry: LocalEntry, { baseId, body }: DeltaBody): Promise<number | undefined> {
    const headers = {
      'content-encoding': DELTA_ENCODING,
      [BASE_HEADER]: baseId,
      [SIZE_HEADER]: String(entry.size),
    };
    const status = await this.server.status(
      'PUT',
      outputPath(entry.outputId),
      { size: body.length, body },
      headers,
    );
    // 400: an older server, or an old output that is damaged here. 401, 403: this client may not read.
    if (status === 400 || status === 401 || status === 403) this.#takesDeltas = false;
    if (status < 200 || status > 299) return undefined;
    this.deltaPuts.content += entry.size;
    this.deltaPuts.bytes += body.length;
    return status;
  }

  async #putWhole(entry: LocalEntry): Promise<number> {
    const packed = this.server.line.isFar ? await packOutput(entry) : undefined;
    const headers =
      packed === undefined ? {} : { 'content-encoding': 'zstd', [SIZE_HEADER]: String(entry.size) };
    return this.server.status('PUT', outputPath(entry.outputId), packed ?? entry, headers);
  }
}

/** An answer that is not wanted is read to its end where that costs less than another connection. */
const UNWANTED_BYTES_MAX = 64 * 1024;
