/** `/sumdb/…`: the checksum databases that this server passes on. */

import type { ModulePath } from '../core/module-path.ts';
import type { ChecksumDatabases } from '../sumdb/checksum-databases.ts';
import { parseSumdbPath, type SumdbAsk } from '../sumdb/sumdb-path.ts';
import { mayGoOut } from './client.ts';
import { type Endpoint, type HotFiles, READ_ONLY, type Route } from './endpoint.ts';
import type { Target } from './target.ts';

export type ChecksumsEndpointOptions = {
  readonly sumdb: Pick<ChecksumDatabases, 'get' | 'peek'>;
  /** This Astera's name in `Via`. */
  readonly instance: string;
};

export type ChecksumRoute = Route & { readonly ask: SumdbAsk };

export class ChecksumsEndpoint implements Endpoint {
  readonly #options: ChecksumsEndpointOptions;
  readonly hot: HotFiles;

  constructor(options: ChecksumsEndpointOptions) {
    this.#options = options;
    this.hot = {
      prefix: 'sumdb/',
      peek: (path) => options.sumdb.peek(path),
      moduleOf: (path) => moduleOf(parseSumdbPath(path)),
    };
  }

  route(target: Target): ChecksumRoute | undefined {
    const { sumdb, instance } = this.#options;
    if (!target.path.startsWith('sumdb/')) return undefined;
    const ask = parseSumdbPath(target.path);
    if (ask === undefined) return undefined;
    return {
      name: ask.kind,
      methods: READ_ONLY,
      module: moduleOf(ask),
      ask,
      async answer(client, responder) {
        const mayFetch = mayGoOut(client, target, instance);
        responder.answer(client, await sumdb.get(ask, { mayFetch, via: client.via || undefined }));
      },
    };
  }
}

/** A lookup tells whether the module has the version, and the hash of its content. */
function moduleOf(ask: SumdbAsk | undefined): ModulePath | undefined {
  return ask?.kind === 'lookup' ? ask.asked.module : undefined;
}
