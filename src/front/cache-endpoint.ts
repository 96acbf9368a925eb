/** `/cache/…`: the build cache for the LAN. The wire: `core/build-cache-wire.ts`. */

import type { CacheRight } from '../access/cache-right.ts';
import type { BuildCache, CacheAnswer } from '../buildcache/build-cache.ts';
import { BUILD_OUTPUT_BYTES_MAX } from '../buildcache/limits.ts';
import { CACHE_PREFIX, NAMESPACE_HEADER, OUTPUT_ID_HEADER, TIME_HEADER } from '../core/build-cache-wire.ts';
import { isCacheId, isCacheTime, isNamespace } from '../core/cache-id.ts';
import { BadRequest } from '../core/errors.ts';
import type { Client } from './client.ts';
import type { Endpoint, Route } from './endpoint.ts';
import type { Responder } from './respond.ts';
import type { Target } from './target.ts';

export type CacheEndpointOptions = {
  readonly cache: Pick<BuildCache, 'action' | 'output' | 'hasOutput' | 'putOutput' | 'putAction'>;
  readonly right: Pick<CacheRight, 'demand'>;
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
    return {
      name: 'cache-action',
      methods: METHODS,
      module: undefined,
      bodyBytesMax: 0,
      admit: (client, header) => {
        headers = actionHeaders(header);
        return client.method === 'PUT' ? this.#demandWrite(client, header) : undefined;
      },
      answer: async (client, responder) => {
        const { namespaces, outputId, time } = headers;
        if (client.method !== 'PUT')
          return answer(client, responder, await cache.action(actionId, namespaces));
        if (!isCacheId(outputId) || !isCacheTime(time)) {
          throw new BadRequest(
            `cannot put action: it needs the headers ${OUTPUT_ID_HEADER} and ${TIME_HEADER}`,
          );
        }
        await cache.putAction({ namespace: namespaces[0] ?? MAIN, actionId, outputId, time });
        responder.text(client, 201, 'stored\n', { route: 'cache-action' });
      },
    };
  }

  #output(outputId: string): Route {
    const { cache } = this.#options;
    return {
      name: 'cache-output',
      methods: METHODS,
      module: undefined,
      bodyBytesMax: BUILD_OUTPUT_BYTES_MAX,
      admit: (client, header) => (client.method === 'PUT' ? this.#demandWrite(client, header) : undefined),
      answer: async (client, responder) => {
        if (client.isHead) {
          const isStored = await cache.hasOutput(outputId);
          responder.text(client, isStored ? 200 : 404, isStored ? 'stored\n' : 'not stored\n', {
            route: 'cache-output',
          });
        } else if (client.method === 'PUT') {
          if (client.body === undefined) throw new Error('a route that takes a body got none');
          await cache.putOutput(outputId, client.body.pieces());
          responder.text(client, 201, 'stored\n', { route: 'cache-output' });
        } else answer(client, responder, await cache.output(outputId));
      },
    };
  }

  #demandWrite(client: Client, header: (name: string) => string): Promise<void> | undefined {
    const { address, credentials } = client;
    return this.#options.right.demand({ address, credentials, header });
  }
}

type ActionHeaders = {
  /** The client's own, and the main one behind it. */
  readonly namespaces: readonly string[];
  readonly outputId: string;
  readonly time: string;
};

/** The namespace of all who name none. */
const MAIN = '';

/** Before the client's are read. */
const NO_HEADERS: ActionHeaders = { namespaces: [MAIN], outputId: '', time: '' };

/** @throws {BadRequest} a malformed namespace */
function actionHeaders(header: (name: string) => string): ActionHeaders {
  const namespace = header(NAMESPACE_HEADER);
  if (namespace !== MAIN && !isNamespace(namespace)) throw new BadRequest('cannot use that namespace');
  const namespaces = namespace === MAIN ? [MAIN] : [namespace, MAIN];
  return { namespaces, outputId: header(OUTPUT_ID_HEADER), time: header(TIME_HEADER) };
}

function answer(client: Client, responder: Responder, { answer: found, action }: CacheAnswer): void {
  client.visibility = 'private'; // An action may get another output, and a cache between us asks nobody for a right.
  const lines = action && [`${OUTPUT_ID_HEADER}: ${action.outputId}`, `${TIME_HEADER}: ${action.time}`];
  responder.answer(client, lines === undefined ? found : { ...found, lines });
}
