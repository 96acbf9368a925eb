/** GOPROXY: the files of modules. */

import { parseResource, type Resource } from '../core/resource.ts';
import type { ModuleProxy } from '../modules/module-proxy.ts';
import { mayGoOut } from './client.ts';
import { type Endpoint, type HotFiles, READ_ONLY, type Route } from './endpoint.ts';
import type { Target } from './target.ts';

export type ModulesEndpointOptions = {
  readonly modules: Pick<ModuleProxy, 'get' | 'peek'>;
  /** This Astera's name in `Via`. */
  readonly instance: string;
};

export type ModuleRoute = Route & { readonly resource: Resource };

export class ModulesEndpoint implements Endpoint {
  readonly #options: ModulesEndpointOptions;
  readonly hot: HotFiles;

  constructor(options: ModulesEndpointOptions) {
    this.#options = options;
    this.hot = {
      prefix: '',
      peek: (path) => options.modules.peek(path),
      moduleOf: (path) => parseResource(path)?.module,
    };
  }

  route(target: Target): ModuleRoute | undefined {
    const { modules, instance } = this.#options;
    const { path: key } = target;
    const resource = parseResource(key);
    if (resource === undefined) return undefined;
    return {
      name: resource.kind,
      methods: READ_ONLY,
      module: resource.module,
      resource,
      answer(client, responder) {
        const mayFetch = mayGoOut(client, target, instance);
        const request = { resource, key, mayFetch, isHead: client.isHead, via: client.via || undefined };
        return modules.get(request).then((answer) => responder.answer(client, answer));
      },
    };
  }
}
