/** `/cache/…`: the build cache for the LAN. The wire: `core/build-cache-wire.ts`. */

import type { CacheRight } from '../access/cache-right.ts';
import type { BuildCache, CacheAnswer, Form } from '../buildcache/build-cache.ts';
import { BUILD_OUTPUT_BYTES_MAX } from '../buildcache/limits.ts';
import { streamEncodingOf } from '../buildcache/stream-encoding.ts';
import type { ActionRow } from '../core/build-cache-port.ts';
import {
  BASE_HEADER,
  CACHE_PREFIX,
  DELTA_ENCODING,
  isSignature,
  NAMESPACE_HEADER,
  OUTPUT_ID_HEADER,
  SIGNATURE_HEADER,
  SIZE_HEADER,
  TIME_HEADER,
} from '../core/build-cache-wire.ts';
import { isCacheId, isCacheTime, MAIN_NAMESPACE } from '../core/cache-id.ts';
import { BadRequest } from '../core/errors.ts';
import type { BodyRoom } from './body-room.ts';
import { namespaceOf, searched, storedNamespace } from './cache-namespaces.ts';
import type { Client } from './client.ts';
import type { Endpoint, Route } from './endpoint.ts';
import type { Responder } from './respond.ts';
import type { Target } from './target.ts';

export type CacheEndpointOptions = {
  readonly cache: Pick<
    BuildCache,
    'action' | 'output' | 'hasOutput' | 'putOutput' | 'putOutputDelta' | 'putAction'
  >;
  readonly right: Pick<CacheRight, 'demandRead' | 'demandWrite'>;
  readonly bodyRoom: Pick<BodyRoom, 'turn'>;
};

const METHODS: readonly string[] = ['GET', 'HEAD', 'PUT'];

export class CacheEndpoint implements Endpoint {
  readonly #options: CacheEndpointOptions;

  constructor(options: CacheEndpointOptions) {
    this.#options = options;
  }

  route({ path }: Target): Route | undefined {
    if (!path.startsWith(CACHE_PREFIX)) return undefined;
    const [noun, id, ...rest] = path.slice(CACHE_PREFIX.length).split('/');
    if ((noun !== 'action' && noun !== 'output') || rest.length > 0) return undefined;
    if (!isCacheId(id))
      throw new BadRequest('cannot look into the build cache: an ID is 64 lower-case hex digits');
    return noun === 'action' ? this.#action(id) : this.#output(id);
  }

  #action(actionId: string): Route {
    const { cache } = this.#options;
    let headers = NO_HEADERS;
    let form: Form = 'plain';
    return {
      name: 'cache-action',
      methods: METHODS,
      module: undefined,
      bodyBytesMax: 0,
      admit: (client, header) => {
        headers = actionHeaders(header);
        form = formFor(header);
        return this.#demand(client, header, headers.namespace);
      },
      answer: async (client, responder) => {
        const { namespace, outputId, time, signature } = headers;
        if (client.method !== 'PUT')
          return answer(client, responder, await cache.action(actionId, searched(namespace), form));
        if (!isCacheId(outputId) || !isCacheTime(time)) {
          throw new BadRequest(
            `cannot put action: it needs the headers ${OUTPUT_ID_HEADER} and ${TIME_HEADER}`,
          );
        }
        if (signature !== '' && !isSignature(signature)) {
          throw new BadRequest(`cannot put action: not a signature in the header ${SIGNATURE_HEADER}`);
        }
        const note = signature === '' ? {} : { note: signature };
        await cache.putAction({ namespace: storedNamespace(namespace), actionId, outputId, time, ...note });
        responder.text(client, 201, 'stored\n', { route: 'cache-action' });
      },
    };
  }

  #output(outputId: string): Route {
    const { cache } = this.#options;
    let form: Form = 'plain';
    let packedSize: number | undefined;
    let baseId: string | undefined;
    return {
      name: 'cache-output',
      methods: METHODS,
      module: undefined,
      bodyBytesMax: BUILD_OUTPUT_BYTES_MAX,
      admit: (client, header) => {
        form = formFor(header);
        if (client.method !== 'PUT') return this.#demand(client, header, undefined);
        packedSize = packedSizeOf(header);
        baseId = baseOf(header);
        return baseId === undefined
          ? this.#demand(client, header, undefined)
          : this.#demandBoth(client, header);
      },
      answer: async (client, responder) => {
        if (client.isHead) {
          const isStored = await cache.hasOutput(outputId);
          if (!isStored) await this.#options.bodyRoom.turn(); // Its client sends it at once.
          responder.text(client, isStored ? 200 : 404, isStored ? 'stored\n' : 'not stored\n', {
            route: 'cache-output',
          });
        } else if (client.method === 'PUT') {
          const pieces = client.takenBody.pieces();
          if (baseId === undefined || packedSize === undefined)
            await cache.putOutput(outputId, pieces, packedSize);
          else await cache.putOutputDelta(outputId, pieces, { baseId, size: packedSize });
          await client.takenBody.finish();
          responder.text(client, 201, 'stored\n', { route: 'cache-output' });
        } else answer(client, responder, await cache.output(outputId, form));
      },
    };
  }

  /** Of deltas: who finds out whether the old output has certain bytes could read it all, byte by byte. */
  async #demandBoth(client: Client, header: (name: string) => string): Promise<void> {
    const { right } = this.#options;
    const { address, credentials } = client;
    const request = { address, credentials, namespace: undefined, header };
    // Both at once: the headers are gone after the first wait.
    const write = async () => right.demandWrite(request);
    const read = async () => right.demandRead(request);
    await Promise.all([write(), read()]);
  }

  #demand(
    client: Client,
    header: (name: string) => string,
    namespace: string | undefined,
  ): Promise<void> | undefined {
    const { right } = this.#options;
    const { address, credentials } = client;
    const request = { address, credentials, namespace, header };
    return client.method === 'PUT' ? right.demandWrite(request) : right.demandRead(request);
  }
}

type ActionHeaders = {
  readonly namespace: string;
  readonly outputId: string;
  readonly time: string;
  readonly signature: string;
};

/** Before the client's are read. */
const NO_HEADERS: ActionHeaders = { namespace: MAIN_NAMESPACE, outputId: '', time: '', signature: '' };

/** @throws {BadRequest} a malformed namespace */
function actionHeaders(header: (name: string) => string): ActionHeaders {
  return {
    namespace: namespaceOf(header),
    outputId: header(OUTPUT_ID_HEADER),
    time: header(TIME_HEADER),
    signature: header(SIGNATURE_HEADER),
  };
}

/** Packed for a client that asks for it, and plain for all others. */
function formFor(header: (name: string) => string): Form {
  return streamEncodingOf(header('accept-encoding')) === 'zstd' ? 'stored' : 'plain';
}

/**
 * The size of the output whose body is packed; undefined of a plain one.
 *
 * @throws {BadRequest} another encoding, or no size
 */
function packedSizeOf(header: (name: string) => string): number | undefined {
  const encoding = header('content-encoding');
  if (encoding === '' || encoding === 'identity') return undefined;
  if (encoding !== 'zstd' && encoding !== DELTA_ENCODING)
    throw new BadRequest('cannot take output: its encoding is not zstd');
  const size = header(SIZE_HEADER);
  if (/^[0-9]{1,12}$/.test(size) && Number(size) <= BUILD_OUTPUT_BYTES_MAX) return Number(size);
  throw new BadRequest(
    `cannot take output: its header ${SIZE_HEADER} is not up to ${BUILD_OUTPUT_BYTES_MAX}`,
  );
}

/**
 * What the deltas of a body are against; undefined of another body.
 *
 * @throws {BadRequest} one without the other
 */
function baseOf(header: (name: string) => string): string | undefined {
  const baseId = header(BASE_HEADER);
  const isDelta = header('content-encoding') === DELTA_ENCODING;
  if (!isDelta && baseId === '') return undefined;
  if (isDelta && isCacheId(baseId)) return baseId;
  throw new BadRequest(`cannot take output: ${BASE_HEADER} and the encoding ${DELTA_ENCODING} go together`);
}

function answer(
  client: Client,
  responder: Responder,
  { answer: found, action, unpackedSize }: CacheAnswer,
): void {
  client.visibility = 'private'; // An action may get another output, and a cache between us asks nobody for a right.
  const lines = [
    ...(action === undefined ? [] : actionLines(action)),
    ...(unpackedSize === undefined ? [] : ['Content-Encoding: zstd', `${SIZE_HEADER}: ${unpackedSize}`]),
  ];
  responder.answer(client, lines.length === 0 ? found : { ...found, lines });
}

function actionLines({ outputId, time, namespace, note }: ActionRow): string[] {
  return [
    `${OUTPUT_ID_HEADER}: ${outputId}`,
    `${TIME_HEADER}: ${time}`,
    ...(namespace === storedNamespace(MAIN_NAMESPACE) ? [] : [`${NAMESPACE_HEADER}: ${namespace}`]),
    ...(note === undefined ? [] : [`${SIGNATURE_HEADER}: ${note}`]),
  ];
}
