/** `/vulndb/…`: the vulnerability database that this server passes on. */

import type { VulnDatabase } from '../vulndb/vuln-database.ts';
import { parseVulnPath } from '../vulndb/vuln-path.ts';
import { mayGoOut } from './client.ts';
import { type Endpoint, READ_ONLY, type Route } from './endpoint.ts';
import type { Target } from './target.ts';

export type VulnerabilitiesEndpointOptions = {
  /** Undefined: there is none. */
  readonly vulndb: Pick<VulnDatabase, 'get'> | undefined;
  /** This Astera's name in `Via`. */
  readonly instance: string;
};

export class VulnerabilitiesEndpoint implements Endpoint {
  readonly #options: VulnerabilitiesEndpointOptions;

  constructor(options: VulnerabilitiesEndpointOptions) {
    this.#options = options;
  }

  route(target: Target): Route | undefined {
    const { vulndb, instance } = this.#options;
    const ask = parseVulnPath(target.path);
    if (ask === undefined || vulndb === undefined) return undefined;
    return {
      name: 'vulndb',
      methods: READ_ONLY,
      module: undefined,
      async answer(client, responder) {
        const mayFetch = mayGoOut(client, target, instance);
        responder.answer(client, await vulndb.get(ask, { mayFetch, via: client.via || undefined }));
      },
    };
  }
}
