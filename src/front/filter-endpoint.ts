/** `/cache/filter`: what clients rule out misses with. The wire: `core/action-filter.ts`. */

import type { CacheRight } from '../access/cache-right.ts';
import type { ActionFilters } from '../buildcache/action-filters.ts';
import { FILTER_HEADER, FILTER_PATH, parseFilterHeader } from '../core/action-filter.ts';
import { storedNamespace } from './cache-namespaces.ts';
import type { Endpoint, Route } from './endpoint.ts';
import { namespaceRoute } from './namespace-route.ts';
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
    return namespaceRoute({
      name: 'cache-filter',
      methods: ['GET'],
      demand: (request) => right.demandRead(request),
      read: (header) => parseFilterHeader(header(FILTER_HEADER)),
      answer: async ({ client, namespace, said }, responder) => {
        const body = await filters.news(storedNamespace(namespace), said);
        client.visibility = 'private';
        const whole = { size: undefined, sha256: undefined, lines: [] };
        responder.answer(client, { ...whole, kind: 'output', status: 200, origin: 'store', body });
      },
    });
  }
}
