/** `/cache/puts`: many puts into the build cache in one request. The wire: `core/puts-wire.ts`. */

import type { CacheRight } from '../access/cache-right.ts';
import type { BuildCache } from '../buildcache/build-cache.ts';
import { isCacheTime } from '../core/cache-id.ts';
import { BadRequest, isServeError, messageOf } from '../core/errors.ts';
import { freeBytes } from '../core/free-bytes.ts';
import {
  decodePuts,
  PUT_OUTCOME,
  PUTS_BYTES_MAX,
  PUTS_OUTPUT_BYTES_MAX,
  PUTS_PATH,
  type PutRecord,
} from '../core/puts-wire.ts';
import { storedNamespace } from './cache-namespaces.ts';
import type { Endpoint, Route } from './endpoint.ts';
import { namespaceRoute } from './namespace-route.ts';
import type { Target } from './target.ts';

export type PutsEndpointOptions = {
  readonly cache: Pick<BuildCache, 'putOutput' | 'putAction'>;
  readonly right: Pick<CacheRight, 'demandWrite'>;
};

export class PutsEndpoint implements Endpoint {
  readonly #options: PutsEndpointOptions;

  constructor(options: PutsEndpointOptions) {
    this.#options = options;
  }

  route({ path }: Target): Route | undefined {
    if (`/${path}` !== PUTS_PATH) return undefined;
    const { right } = this.#options;
    return namespaceRoute({
      name: 'cache-puts',
      methods: ['POST'],
      bodyBytesMax: PUTS_BYTES_MAX,
      demand: (request) => right.demandWrite(request),
      read: () => undefined,
      answer: async ({ client, namespace }, responder) => {
        const body = await client.takenBody.whole();
        client.takenBody.keep();
        const puts = putsOf(body);
        const outcomes = await Promise.all(puts.map((put) => this.#put(storedNamespace(namespace), put)));
        freeBytes(body);
        await client.takenBody.finish();
        responder.bytes(client, Uint8Array.from(outcomes), 'cache-puts');
      },
    });
  }

  /** @throws what a put of its own throws, but for what is this put's own fault */
  async #put(namespace: string, { isPacked, size, body, ...put }: PutRecord): Promise<number> {
    const { cache } = this.#options;
    const { actionId, outputId, time, note } = put;
    if (!isCacheTime(time) || size > PUTS_OUTPUT_BYTES_MAX || (!isPacked && size !== body.byteLength))
      return PUT_OUTCOME.wrong;
    try {
      await cache.putOutput(outputId, piecesOf(body), isPacked ? size : undefined);
      await cache.putAction({ namespace, actionId, outputId, time, ...(note !== undefined && { note }) });
      return PUT_OUTCOME.stored;
    } catch (error) {
      if (!isServeError(error)) throw error;
      if (error.kind === 'conflict') return PUT_OUTCOME.refused;
      if (error.kind === 'bad-request') return PUT_OUTCOME.wrong;
      throw error;
    }
  }
}

/** @throws {BadRequest} */
function putsOf(bytes: Uint8Array): PutRecord[] {
  try {
    return decodePuts(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  } catch (error) {
    throw new BadRequest(`cannot read puts: ${messageOf(error)}`);
  }
}

async function* piecesOf(body: Uint8Array): AsyncGenerator<Uint8Array, void, void> {
  yield body;
}
