/** `/cache/filter`: what clients rule out misses with. The wire: `core/action-filter.ts`. */

import type { CacheRight } from '../access/cache-right.ts';
import type { ActionFilters, HeldFilter } from '../buildcache/action-filters.ts';
import { FILTER_HEADER, FILTER_PATH, parseFilterHeader } from '../core/action-filter.ts';
import { namespaceOf, storedNamespace } from './cache-namespaces.ts';
import type { Endpoint, Route } from './endpoint.ts';
import type { Target } from './target.ts';

export type FilterEndpointOptions = {
  readonly filters: Pick<ActionFilters, 'news'>;
  readonly right: Pick<CacheRight, 'demandRead'>;
};

export class FilterEndpoint implements Endpoint {
  readonly #options: FilterEndpointOptions;

  constructor(options: FilterEndpointOptions) {
    this.#options = options;
  }

  route({ path }: Target): Route | undefined {
    if (`/${path}` !== FILTER_PATH) return undefined;
    const { filters, right } = this.#options;
    let asked: { readonly namespace: string; readonly held: HeldFilter | undefined } | undefined;
    return {
      name: 'cache-filter',
      methods: ['GET'],
      module: undefined,
      admit: ({ address, credentials }, header) => {
        asked = { namespace: namespaceOf(header), held: parseFilterHeader(header(FILTER_HEADER)) };
        return right.demandRead({ address, credentials, namespace: asked.namespace, header });
      },
      answer: async (client, responder) => {
        if (asked === undefined) throw new Error('a route was not asked for its right');
        const news = await filters.news(storedNamespace(asked.namespace), asked.held);
        client.visibility = 'private';
        const whole = { size: undefined, sha256: undefined, lines: [] };
        responder.answer(client, { ...whole, kind: 'output', status: 200, origin: 'store', body: news });
      },
    };
  }
}
