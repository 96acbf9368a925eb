/**
 * The listener: routes requests to the services and their answers to the responder.
 *
 * The only room that knows uWebSockets. Everything here runs on the front thread and never blocks.
 */

import {
  App,
  type HttpRequest,
  type HttpResponse,
  type TemplatedApp,
  type us_listen_socket,
  us_listen_socket_close,
  us_socket_local_port,
} from 'uWebSockets.js';
import { rmSync } from 'node:fs';
import type { Address } from '../core/address.ts';
import { Loop, NotFound } from '../core/errors.ts';
import type { ModuleProxy } from '../modules/module-proxy.ts';
import type { Events } from '../observe/events.ts';
import type { ProfileRequest, Profiles } from '../observe/profiles.ts';
import type { ChecksumDatabases } from '../sumdb/checksum-databases.ts';
import { PumpKeeper } from './pump.ts';
import { Client, Responder } from './respond.ts';
import { hotKey, parseRoute, type Route } from './route.ts';
import { isFreeUnixPath } from './unix-path.ts';

export type ServerOptions = {
  readonly modules: ModuleProxy;
  readonly sumdb: ChecksumDatabases;
  readonly events: Events;
  /** What our own requests carry in `Via`: one that comes back has gone in a circle. */
  readonly viaName: string;
  readonly clientStallMs: number;
  /** Prometheus text. */
  readonly metricsText: () => Promise<string>;
  /** Undefined: the store is usable. Else why not. */
  readonly notReady: () => Promise<string | undefined>;
  /** Undefined without `--pprof`. */
  readonly profiles?: Pick<Profiles, 'take'> | undefined;
};

export class Server {
  readonly #options: ServerOptions;
  readonly #app: TemplatedApp;
  readonly #responder: Responder;
  readonly #keeper: PumpKeeper;
  readonly #open = new Set<Client>();
  #socket: us_listen_socket | undefined;
  /** To be removed at the end. */
  #unixPath: string | undefined;
  #onIdle: (() => void) | undefined;

  constructor(options: ServerOptions) {
    this.#options = options;
    this.#keeper = new PumpKeeper({ stallMs: options.clientStallMs, now: () => performance.now() });
    this.#responder = new Responder({ events: options.events, keeper: this.#keeper });
    this.#app = App();
    this.#app.get('/*', (res, req) => this.#onGet(res, req));
    this.#app.head('/*', (res, req) => this.#begin(new Client(res, req, req.getUrl(), true)));
    this.#app.any('/*', (res, req) => {
      const client = this.#admit(new Client(res, req, req.getUrl(), false));
      const method = req.getMethod().toUpperCase();
      this.#responder.text(client, 405, `cannot ${method.slice(0, 20)}: only GET and HEAD\n`, [
        'Allow: GET, HEAD',
      ]);
    });
  }

  /**
   * Listens, alone on its port.
   *
   * @returns the port, or 0 for a Unix socket; undefined when the address is taken or not ours
   */
  async listen(address: Address): Promise<number | undefined> {
    if (address.kind === 'unix' && !(await isFreeUnixPath(address.path))) return undefined;
    return new Promise((resolve) => {
      const onListen = (socket: us_listen_socket | false) => {
        if (socket === false) return resolve(undefined);
        this.#socket = socket;
        if (address.kind === 'unix') this.#unixPath = address.path;
        resolve(address.kind === 'unix' ? 0 : us_socket_local_port(socket as never));
      };
      if (address.kind === 'unix') {
        this.#app.listen_unix(onListen, address.path);
        return;
      }
      // Without the option a second server would share the port, silently.
      if (address.host === '') this.#app.listen(address.port, EXCLUSIVE_PORT, onListen);
      else
        (this.#app.listen as unknown as ListenAtHost).call(
          this.#app,
          address.host,
          address.port,
          EXCLUSIVE_PORT,
          onListen,
        );
    });
  }

  /** Stops accepting, lets answers in flight end within `graceMs`, closes everything. */
  async stop(graceMs: number): Promise<void> {
    if (this.#socket !== undefined) us_listen_socket_close(this.#socket);
    if (this.#unixPath !== undefined) rmSync(this.#unixPath, { force: true });
    if (this.#open.size > 0) {
      let timer: NodeJS.Timeout | undefined;
      const idle = new Promise<void>((resolve) => {
        this.#onIdle = resolve;
        timer = setTimeout(resolve, graceMs);
      });
      await idle;
      clearTimeout(timer);
    }
    this.#keeper.stop();
    this.#app.close();
  }

  #onGet(res: HttpResponse, req: HttpRequest): void {
    const url = req.getUrl();
    const { modules } = this.#options;
    const file = modules.peek(hotKey(url));
    const body = file && modules.bodyNow(file);
    if (file !== undefined && body !== undefined) {
      this.#responder.hot(res, req, url, file, body);
      return;
    }
    this.#begin(new Client(res, req, url, false));
  }

  #begin(client: Client): void {
    this.#admit(client);
    let name = 'malformed';
    const fail = (error: unknown) => this.#responder.error(client, error, name);
    try {
      const route = parseRoute(client.url, client.query);
      name = routeName(route);
      this.#serve(client, route)?.catch(fail);
    } catch (error) {
      fail(error);
    }
  }

  /** From here on the client may go at any time. */
  #admit(client: Client): Client {
    this.#open.add(client);
    client.onOver = () => {
      this.#open.delete(client);
      if (this.#open.size === 0) this.#onIdle?.();
    };
    client.res.onAborted(() => {
      client.pump?.abort();
      client.finish();
    });
    return client;
  }

  #serve(client: Client, route: Route): Promise<void> | undefined {
    switch (route.kind) {
      case 'file':
        return this.#serveFile(client, route);
      case 'sumdb':
        return this.#serveSumdb(client, route);
      case 'healthz':
        this.#responder.text(client, 200, 'ok\n', [], route.kind);
        return undefined;
      case 'readyz':
        return this.#serveReadiness(client);
      case 'metrics':
        return this.#serveMetrics(client);
      case 'profile':
        return this.#serveProfile(client, route.request);
      case 'unknown':
        this.#responder.text(client, 404, 'cannot find that: not a path of a GOPROXY\n');
        return undefined;
    }
  }

  #serveFile(
    client: Client,
    { resource, key, mayFetch: isAllowed }: Route & { kind: 'file' },
  ): Promise<void> {
    const mayFetch = this.#mayFetch(client, isAllowed);
    const request = { resource, key, mayFetch, isHead: client.isHead, via: client.via || undefined };
    return this.#options.modules.get(request).then((answer) => this.#responder.answer(client, answer));
  }

  async #serveProfile(client: Client, request: ProfileRequest): Promise<void> {
    const { profiles } = this.#options;
    if (profiles === undefined) throw new NotFound('cannot profile: start this server with --pprof');
    this.#responder.bytes(client, await profiles.take(request), 'profile');
  }

  async #serveSumdb(client: Client, route: Route & { kind: 'sumdb' }): Promise<void> {
    const mayFetch = this.#mayFetch(client, route.mayFetch);
    this.#responder.answer(
      client,
      await this.#options.sumdb.get(route.ask, { mayFetch, via: client.via || undefined }),
    );
  }

  async #serveMetrics(client: Client): Promise<void> {
    this.#responder.text(client, 200, await this.#options.metricsText(), [], 'metrics');
  }

  /** @throws {Loop} it would go out, and has been here before */
  #mayFetch(client: Client, isAllowed: boolean): boolean {
    const mayFetch = isAllowed && client.mayFetch;
    if (mayFetch && client.via.includes(this.#options.viaName)) {
      throw new Loop('cannot fetch: the request came back to this Astera; look at the upstreams of both');
    }
    return mayFetch;
  }

  async #serveReadiness(client: Client): Promise<void> {
    const why = await this.#options.notReady();
    if (why === undefined) this.#responder.text(client, 200, 'ready\n', [], 'readyz');
    else this.#responder.text(client, 503, `${why}\n`, [], 'readyz');
  }
}

/** A form of `listen` that the package's types lack. */
type ListenAtHost = (
  this: TemplatedApp,
  host: string,
  port: number,
  options: number,
  onListen: (socket: us_listen_socket | false) => void,
) => void;

/** LIBUS_LISTEN_EXCLUSIVE_PORT: exported, but missing from the package's types. */
const EXCLUSIVE_PORT = 1;

function routeName(route: Route): string {
  if (route.kind === 'file') return route.resource.kind;
  return route.kind === 'sumdb' ? route.ask.kind : route.kind;
}
