/** `/cacheprog.mjs`: the cache program that clients' `go` commands start, as one file. */

import type { StoredFile } from '../core/answer.ts';
import type { Client } from './client.ts';
import { type Endpoint, READ_ONLY, type Route } from './endpoint.ts';
import type { Responder } from './respond.ts';
import type { Target } from './target.ts';

export class ProgramEndpoint implements Endpoint {
  readonly #read: () => Promise<StoredFile>;

  /** @param read the program's file; rejects with NotFound if this server has none */
  constructor(read: () => Promise<StoredFile>) {
    this.#read = read;
  }

  route({ url }: Target): Route | undefined {
    if (url !== '/cacheprog.mjs') return undefined;
    return {
      name: 'cacheprog',
      methods: READ_ONLY,
      module: undefined,
      answer: (client, responder) => this.#answer(client, responder),
    };
  }

  async #answer(client: Client, responder: Responder): Promise<void> {
    const { kind, status, size, sha256, body } = await this.#read();
    responder.answer(client, { kind, status, origin: 'memory', size, sha256, body });
  }
}
