/** A server that shares build caches: its requests name their namespace, and bring the token. */

import type { IncomingMessage } from 'node:http';
import { NAMESPACE_HEADER } from '../core/build-cache-wire.ts';
import { MAIN_NAMESPACE } from '../core/cache-id.ts';
import { HttpPeer, type PeerOptions, type RequestBody } from './http-peer.ts';

export type ServerOptions = PeerOptions & {
  readonly token: string | undefined;
  readonly namespace: string;
};

export class RemoteServer extends HttpPeer {
  readonly #options: ServerOptions;

  constructor(options: ServerOptions) {
    super(options, `the namespace ${options.namespace}`);
    this.#options = options;
  }

  /** Of a request in this client's namespace. */
  namespaceHeaders(): Readonly<Record<string, string>> {
    const { namespace } = this.#options;
    return namespace === MAIN_NAMESPACE ? {} : { [NAMESPACE_HEADER]: namespace };
  }

  override send(
    method: string,
    path: string,
    headers: Readonly<Record<string, string>>,
    body?: RequestBody,
  ): Promise<IncomingMessage> {
    const { token } = this.#options;
    const login = token === undefined ? {} : { authorization: `Bearer ${token}` };
    return super.send(method, path, { ...headers, ...login }, body);
  }
}

export function refusal(status: number | undefined): string {
  const isLogin = status === 401 || status === 403;
  return `status ${status}${isLogin ? ': reading needs a token with the scope cache-read, see --token-file' : ''}`;
}
