/** `/healthz`, `/readyz`, `/metrics` and profiles: for the people who run the server. */

import type { Access } from '../access/access.ts';
import { NotFound } from '../core/errors.ts';
import type { ProfileRequest, Profiles } from '../observe/profiles.ts';
import type { Client } from './client.ts';
import { type Endpoint, READ_ONLY, type Route } from './endpoint.ts';
import { parseProfile } from './profile-route.ts';
import type { Responder } from './respond.ts';
import type { Target } from './target.ts';

export type OperationsEndpointOptions = {
  /** Prometheus text. */
  readonly metricsText: () => Promise<string>;
  /** Undefined: the store is usable. Otherwise the reason why it is not. */
  readonly notReady: () => Promise<string | undefined>;
  /** Asked before metrics and profiles. Health and readiness are for everybody. */
  readonly access: Pick<Access, 'demandAdmin'>;
  /** Undefined without `--pprof`. */
  readonly profiles?: Pick<Profiles, 'take'> | undefined;
};

export class OperationsEndpoint implements Endpoint {
  readonly #options: OperationsEndpointOptions;
  readonly #byUrl: ReadonlyMap<string, Route>;

  constructor(options: OperationsEndpointOptions) {
    this.#options = options;
    const routes: readonly Route[] = [
      {
        name: 'healthz',
        methods: READ_ONLY,
        module: undefined,
        answer: (client, responder) => this.#health(client, responder),
      },
      {
        name: 'readyz',
        methods: READ_ONLY,
        module: undefined,
        answer: (client, responder) => this.#readiness(client, responder),
      },
      {
        name: 'metrics',
        methods: READ_ONLY,
        module: undefined,
        admit: (client) => this.#admit(client),
        answer: (client, responder) => this.#metrics(client, responder),
      },
    ];
    this.#byUrl = new Map(routes.map((route) => [`/${route.name}`, route]));
  }

  route({ url, query }: Target): Route | undefined {
    const fixed = this.#byUrl.get(url);
    if (fixed !== undefined) return fixed;
    const request = parseProfile(url, query);
    if (request === undefined) return undefined;
    return {
      name: 'profile',
      methods: READ_ONLY,
      module: undefined,
      admit: (client) => this.#admit(client),
      answer: (client, responder) => this.#profile(client, responder, request),
    };
  }

  #admit({ address, credentials }: Client): Promise<void> | undefined {
    return this.#options.access.demandAdmin({ address, credentials });
  }

  #health(client: Client, responder: Responder): undefined {
    responder.text(client, 200, 'ok\n', { route: 'healthz' });
  }

  async #readiness(client: Client, responder: Responder): Promise<void> {
    const why = await this.#options.notReady();
    const [code, text] = why === undefined ? [200, 'ready\n'] : [503, `${why}\n`];
    responder.text(client, code, text, { route: 'readyz' });
  }

  async #metrics(client: Client, responder: Responder): Promise<void> {
    responder.text(client, 200, await this.#options.metricsText(), { route: 'metrics' });
  }

  async #profile(client: Client, responder: Responder, request: ProfileRequest): Promise<void> {
    const { profiles } = this.#options;
    if (profiles === undefined) throw new NotFound('cannot profile: start this server with --pprof');
    responder.bytes(client, await profiles.take(request), 'profile');
  }
}
