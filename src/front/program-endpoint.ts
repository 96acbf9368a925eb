/**
 * `/cacheprog.mjs`: the cache program that clients' `go` commands start, as one file; and `/cacheprog.mjs.sha256`, as
 * `sha256sum -c` reads it. That finds a download that was cut. Against somebody on the way helps only a hash that came
 * another way: the server's log has it too.
 */

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
    if (url !== PATH && url !== `${PATH}.sha256`) return undefined;
    return {
      name: 'cacheprog',
      methods: READ_ONLY,
      module: undefined,
      answer: (client, responder) => this.#answer(client, responder, url === PATH),
    };
  }

  async #answer(client: Client, responder: Responder, isFile: boolean): Promise<void> {
    const { kind, status, size, sha256, body } = await this.#read();
    if (!isFile) responder.text(client, 200, `${sha256}  cacheprog.mjs\n`, { route: 'cacheprog' });
    else responder.answer(client, { kind, status, origin: 'memory', size, sha256, body });
  }
}

const PATH = '/cacheprog.mjs';
