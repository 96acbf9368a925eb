/**
 * `/`: the status page for browsers, the same as text for others; and below `/status/` the page's files and figures.
 *
 * Figures are for those who may read `/metrics`. A list names only modules that its client may read. The page's own files
 * tell nothing of this server, and are for everybody.
 */

import type { Access, ModuleView } from '../access/access.ts';
import { BadRequest, Forbidden, NotFound } from '../core/errors.ts';
import { type ModulePath, parseModulePath } from '../core/module-path.ts';
import { quote } from '../core/quote.ts';
import { originOf } from '../core/status-figures.ts';
import type { ConcernedVersions } from '../status/concerned-versions.ts';
import { SEARCH_LENGTH_MAX } from '../status/limits.ts';
import type { ModuleBrowser } from '../status/module-browser.ts';
import type { StatusBoard } from '../status/status-board.ts';
import { statusText } from '../status/status-text.ts';
import type { Client } from './client.ts';
import { type Endpoint, READ_ONLY, type Route } from './endpoint.ts';
import type { PageFile } from './headers.ts';
import type { Responder } from './respond.ts';
import type { Target } from './target.ts';

export type StatusEndpointOptions = {
  readonly board: Pick<StatusBoard, 'status'>;
  readonly browser: Pick<ModuleBrowser, 'modules' | 'versions'>;
  readonly concerned: Pick<ConcernedVersions, 'list'>;
  /** A file of the page by its name, such as `main.js`; rejects with NotFound if this server has none. */
  readonly file: (name: string) => Promise<PageFile>;
  readonly access: Pick<Access, 'demandView'>;
  /** Whether the server speaks https itself. */
  readonly isSecure: boolean;
};

type Answer = (client: Client, responder: Responder, mayName: ModuleView) => Promise<void>;

/** What a browser may ask for below `/status/`. */
const FILES: ReadonlySet<string> = new Set(['main.js', 'page.css', 'icon.svg']);

export class StatusEndpoint implements Endpoint {
  readonly #options: StatusEndpointOptions;

  constructor(options: StatusEndpointOptions) {
    this.#options = options;
  }

  route({ url, query }: Target): Route | undefined {
    if (url === '/') return this.#page();
    if (!url.startsWith('/status/')) return undefined;
    const name = url.slice('/status/'.length);
    if (FILES.has(name)) return this.#file(name);
    if (name === 'now.json') return this.#figures(undefined, this.#now);
    if (name === 'vulnerabilities.json') return this.#figures(undefined, this.#vulnerabilities);
    if (name === 'modules.json') return this.#modules(new URLSearchParams(query));
    if (name === 'versions.json') return this.#versions(new URLSearchParams(query));
    return undefined;
  }

  /** Which of both forms is wanted shows only in the request's headers. */
  #page(): Route {
    let wantsPage = false;
    const text = this.#figures(undefined, this.#text);
    return {
      ...text,
      admit: (client, header) => {
        wantsPage = header('accept').includes('text/html');
        return text.admit?.(client, header);
      },
      answer: async (client, responder) => {
        if (!wantsPage) return text.answer(client, responder);
        responder.page(client, await this.#options.file('index.html'), 'status');
      },
    };
  }

  #file(name: string): Route {
    const answer = async (client: Client, responder: Responder) =>
      responder.page(client, await this.#options.file(name), 'status');
    return { name: 'status', methods: READ_ONLY, module: undefined, isLook: true, answer };
  }

  /** A route for those who may see figures. */
  #figures(module: ModulePath | undefined, answer: Answer): Route {
    let mayName: ModuleView = () => false;
    return {
      name: 'status',
      methods: READ_ONLY,
      module,
      isLook: true,
      admit: ({ address, credentials, url }, header) => {
        if (url !== '/' && header('sec-fetch-site') === 'cross-site')
          throw new Forbidden('cannot show this server: the request comes from another web page');
        const view = this.#options.access.demandView({ address, credentials });
        const keep = (view: ModuleView) => {
          mayName = view;
        };
        if (view instanceof Promise) return view.then(keep);
        keep(view);
        return undefined;
      },
      answer: (client, responder) => answer(client, responder, mayName),
    };
  }

  readonly #now: Answer = async (client, responder, mayName) => {
    responder.json(client, await this.#options.board.status(mayName), 'status');
  };

  readonly #vulnerabilities: Answer = async (client, responder, mayName) => {
    responder.json(client, await this.#options.concerned.list(mayName), 'status');
  };

  readonly #text: Answer = async (client, responder, mayName) => {
    const status = await this.#options.board.status(mayName);
    const text = statusText(status, originOf(client.host, this.#options.isSecure));
    responder.text(client, 200, text, { route: 'status', headers: ['Vary: Accept'] });
  };

  #modules(wanted: URLSearchParams): Route {
    const text = searchText(wanted);
    const after = wanted.get('after');
    const search = { text, after: after === null ? undefined : parseModulePath(after) };
    return this.#figures(undefined, async (client, responder, mayName) => {
      responder.json(client, await this.#options.browser.modules(search, mayName), 'status');
    });
  }

  #versions(wanted: URLSearchParams): Route {
    const module = parseModulePath(wanted.get('module') ?? '');
    const question = { module, text: searchText(wanted), from: parseIndex(wanted.get('from') ?? '0') };
    return this.#figures(module, async (client, responder) => {
      const page = await this.#options.browser.versions(question);
      if (page.count === 0) throw new NotFound(`cannot find a stored version of ${quote(module)}`);
      responder.json(client, page, 'status');
    });
  }
}

function searchText(wanted: URLSearchParams): string {
  const text = wanted.get('q') ?? '';
  if (text.length <= SEARCH_LENGTH_MAX) return text;
  throw new BadRequest(`cannot search: the text is over ${SEARCH_LENGTH_MAX} characters`);
}

function parseIndex(text: string): number {
  if (/^[0-9]{1,6}$/.test(text)) return Number(text);
  throw new BadRequest(`not an index: ${quote(text.slice(0, 40))}`);
}
