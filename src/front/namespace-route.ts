/** A route of the build cache in one namespace, which the request names: its client needs a right there. */

import type { CacheRight } from '../access/cache-right.ts';
import { namespaceOf } from './cache-namespaces.ts';
import type { Client } from './client.ts';
import type { Route } from './endpoint.ts';
import type { Responder } from './respond.ts';

type CacheRequest = Parameters<CacheRight['demandRead']>[0];

/** What a request asks. */
export type Asked<T> = {
  readonly client: Client;
  /** By its name. */
  readonly namespace: string;
  /** What `read` made of its headers. */
  readonly said: T;
};

export type NamespaceRoute<T> = Pick<Route, 'name' | 'methods' | 'bodyBytesMax'> & {
  /** @throws {Unauthorized} @throws {Forbidden} as {@link CacheRight} */
  readonly demand: (request: CacheRequest, method: string) => Promise<void> | undefined;
  /** Takes what it needs of the headers: they are gone when the answer is made. @throws {BadRequest} */
  readonly read: (header: (name: string) => string) => T;
  readonly answer: (asked: Asked<T>, responder: Responder) => Promise<void>;
};

export function namespaceRoute<T>({ demand, read, answer, ...route }: NamespaceRoute<T>): Route {
  let asked: Omit<Asked<T>, 'client'> | undefined;
  return {
    ...route,
    module: undefined,
    admit: ({ method, address, credentials }, header) => {
      const namespace = namespaceOf(header);
      asked = { namespace, said: read(header) };
      return demand({ address, credentials, namespace, header }, method);
    },
    answer: async (client, responder) => {
      if (asked === undefined) throw new Error('a route was not asked for its right');
      await answer({ client, ...asked }, responder);
    },
  };
}
