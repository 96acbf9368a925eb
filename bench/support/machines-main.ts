/** The machines of `machines.ts`: each has connections of its own, as the cache program has. */

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Agent, type IncomingMessage, request } from 'node:http';
import { constants, zstdCompressSync } from 'node:zlib';
import {
  actionPath,
  OUTPUT_ID_HEADER,
  outputPath,
  SIZE_HEADER,
  TIME_HEADER,
} from '../../src/core/build-cache-wire.ts';
import { CHUNK_BYTES } from '../../src/core/limits.ts';
import {
  encodePut,
  PUTS_BYTES_MAX,
  PUTS_MAX,
  PUTS_OUTPUT_BYTES_MAX,
  PUTS_PATH,
} from '../../src/core/puts-wire.ts';
import {
  LABEL_HEADER,
  PACKED_FORM,
  PACKED_HEADER,
  PREFETCH_HEADER,
  PROJECT_HEADER,
  sessionPath,
  shortIdsOf,
} from '../../src/core/session-wire.ts';
import type { BuildOutput } from './build-outputs.ts';
import type { Machines, MachinesResult } from './machines.ts';

process.on('disconnect', () => process.exit(0));
process.on('message', async (machines: Machines) => process.send?.(await run(machines)));

async function run(load: Machines): Promise<MachinesResult> {
  const startedMs = performance.now();
  const machines = Array.from({ length: load.machines }, (_, at) => new Machine(load, at));
  await Promise.all(machines.map((machine) => machine.run()));
  const sum = (field: 'requests' | 'errors' | 'bodyBytes') =>
    machines.reduce((total, machine) => total + machine[field], 0);
  return {
    wallMs: performance.now() - startedMs,
    requests: sum('requests'),
    errors: sum('errors'),
    bodyBytes: sum('bodyBytes'),
  };
}

type Body = { readonly outputId: string; readonly size: number; readonly bytes: Buffer };
type Headers = Readonly<Record<string, string>>;

/** Gets that `go` has open on two cores. */
const GETS = 2;
/** Uploads at one time: the cache program's `-u`. */
const UPLOADS = 4;
/** Of the outputs, so many are asked for beside the stream: one of eight. */
const BESIDE = 8;

class Machine {
  requests = 0;
  errors = 0;
  bodyBytes = 0;
  readonly #load: Machines;
  readonly #number: number | undefined;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 16 });

  constructor(load: Machines, at: number) {
    this.#load = load;
    this.#number = load.firstNumber === undefined ? undefined : load.firstNumber + at;
  }

  async run(): Promise<void> {
    const { role, outputs, kind } = this.#load;
    if (role === 'first') await (kind === 'astera' ? this.#putAll() : this.#putAllToPeer());
    else if (role === 'gets' || kind === 'gocached') await this.#getAll(outputs);
    else await Promise.all([this.#stream(), this.#getAll(outputs.filter((_, at) => at % BESIDE === 0))]);
    this.#agent.destroy();
  }

  #stream(): Promise<number> {
    const headers = {
      [PROJECT_HEADER]: this.#key,
      [PREFETCH_HEADER]: String(2 ** 30),
      ...(this.#load.isFar && { 'accept-encoding': 'zstd', [PACKED_HEADER]: PACKED_FORM }),
    };
    return this.#send('POST', sessionPath(this.#key), headers, Buffer.alloc(0));
  }

  async #getAll(outputs: readonly BuildOutput[]): Promise<void> {
    const { kind, isFar } = this.#load;
    await inLanes(GETS, outputs, async ({ actionId }) => {
      await (kind === 'astera'
        ? this.#send('GET', actionPath(actionId), isFar ? { 'accept-encoding': 'zstd' } : {})
        : this.#send('GET', `/action/${actionId}`, { 'accept-encoding': 'lz4', 'want-object': '1' }));
    });
  }

  async #putAll(): Promise<void> {
    const { outputs } = this.#load;
    const batches: BuildOutput[][] = [];
    let bytes = Infinity;
    for (const output of outputs) {
      const isLarge = output.size + NUMBER_BYTES > PUTS_OUTPUT_BYTES_MAX;
      const last = batches.at(-1);
      bytes += output.size + 512;
      if (last !== undefined && !isLarge && bytes <= PUTS_BYTES_MAX && last.length < PUTS_MAX)
        last.push(output);
      else {
        batches.push([output]);
        bytes = isLarge ? Infinity : output.size + 512;
      }
    }
    await inLanes(UPLOADS, batches, async (batch) => {
      const [first] = batch;
      if (first !== undefined && first.size + NUMBER_BYTES > PUTS_OUTPUT_BYTES_MAX)
        await this.#putLarge(first);
      else await this.#putMany(batch);
    });
    const headers = { [PROJECT_HEADER]: this.#key, [LABEL_HEADER]: 'bench' };
    const ids = shortIdsOf(outputs.map((output) => this.#actionId(output)));
    await this.#send('PUT', sessionPath(this.#key), headers, ids);
  }

  async #putLarge(output: BuildOutput): Promise<void> {
    const { outputId, size, bytes } = this.#bodyOf(output);
    const headers = this.#load.isFar ? { 'content-encoding': 'zstd', [SIZE_HEADER]: String(size) } : {};
    if ((await this.#send('HEAD', outputPath(outputId), {}, undefined, [404])) === 404)
      await this.#send('PUT', outputPath(outputId), headers, this.#load.isFar ? packed(bytes) : bytes);
    const link = { [OUTPUT_ID_HEADER]: outputId, [TIME_HEADER]: TIME };
    await this.#send('PUT', actionPath(this.#actionId(output)), link, Buffer.alloc(0));
  }

  async #putMany(outputs: readonly BuildOutput[]): Promise<void> {
    const { isFar } = this.#load;
    const records = outputs.map((output) => {
      const { outputId, size, bytes } = this.#bodyOf(output);
      const isPacked = isFar && size >= 512;
      const body = isPacked ? packed(bytes) : bytes;
      return encodePut({
        actionId: this.#actionId(output),
        outputId,
        time: TIME,
        size,
        isPacked,
        note: undefined,
        body,
      });
    });
    await this.#send('POST', PUTS_PATH, {}, Buffer.concat(records));
  }

  async #putAllToPeer(): Promise<void> {
    await inLanes(UPLOADS, this.#load.outputs, async (output) => {
      const { outputId, bytes } = this.#bodyOf(output);
      await this.#send('PUT', `/${this.#actionId(output)}/${outputId}`, {}, bytes, [204]);
    });
  }

  /** Of its session. */
  get #key(): string {
    return sha256(`session ${this.#number}`);
  }

  /** This machine's own. */
  #bodyOf({ path, outputId, size }: BuildOutput): Body {
    const bytes = readFileSync(path);
    if (this.#number === undefined) return { outputId, size, bytes };
    const number = Buffer.alloc(NUMBER_BYTES);
    number.writeUInt32LE(this.#number);
    const own = Buffer.concat([number, bytes]);
    return { outputId: sha256(own), size: own.length, bytes: own };
  }

  #actionId({ actionId }: BuildOutput): string {
    if (this.#number === undefined) return actionId;
    return sha256(`${this.#number} ${actionId}`);
  }

  /** @param good statuses that are no errors, beside 200 and 201. @returns the status; 0: it failed */
  async #send(method: string, path: string, headers: Headers, body?: Buffer, good: readonly number[] = []) {
    this.requests++;
    const status = await this.#answerTo(method, path, headers, body).catch(() => 0);
    if (status !== 200 && status !== 201 && !good.includes(status)) this.errors++;
    return status;
  }

  #answerTo(method: string, path: string, headers: Headers, body: Buffer | undefined): Promise<number> {
    return new Promise((resolve, reject) => {
      const length = body === undefined ? {} : { 'content-length': body.length };
      const options = { method, agent: this.#agent, headers: { ...headers, ...length } };
      const asked = request(new URL(path, this.#load.url), options, (response: IncomingMessage) => {
        response.on('data', (bytes: Buffer) => {
          this.bodyBytes += bytes.length;
        });
        response.on('end', () => resolve(response.statusCode ?? 0));
        response.on('error', reject);
      });
      asked.on('error', reject);
      asked.end(body);
    });
  }
}

function sha256(content: string | Buffer): string {
  return createHash('sha256').update(content).digest('hex');
}

const NUMBER_BYTES = 4;
const TIME = '1764500000000000000';

function packed(bytes: Buffer): Buffer {
  const frames: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += CHUNK_BYTES) {
    const options = { params: { [constants.ZSTD_c_compressionLevel]: 3 } };
    frames.push(zstdCompressSync(bytes.subarray(at, at + CHUNK_BYTES), options));
  }
  return Buffer.concat(frames);
}

async function inLanes<T>(lanes: number, all: readonly T[], one: (value: T) => Promise<void>): Promise<void> {
  const rest = all.values();
  const lane = async () => {
    for (const value of rest) await one(value);
  };
  await Promise.all(Array.from({ length: lanes }, lane));
}
