/**
 * The server: it takes requests from its listeners, all on one way, and counts the ones that it still serves.
 *
 *     a host of ours ─▶ file in memory, the client's right known ─▶ answer
 *     a host of ours ─▶ URL ─▶ route ─▶ method ─▶ the client's right ─▶ body ─▶ the endpoint's answer
 *
 * Everything here runs on the front thread and never blocks.
 */

import type { HttpRequest, HttpResponse } from 'uWebSockets.js';
import type { Access } from '../access/access.ts';
import { splitTokenPath, TOKEN_PREFIX, tokenHeader } from '../access/credentials.ts';
import type { Address } from '../core/address.ts';
import type { StoredFile } from '../core/answer.ts';
import type { ModulePath } from '../core/module-path.ts';
import type { ModuleProxy } from '../modules/module-proxy.ts';
import type { Events } from '../observe/events.ts';
import { BodyRoom } from './body-room.ts';
import { announcedBytes, Client } from './client.ts';
import { DescriptorPause } from './descriptor-pause.ts';
import { type Endpoint, type HotFiles, READ_ONLY, type Route, routeOf } from './endpoint.ts';
import { UNREAD_BODY_BYTES_MAX } from './limits.ts';
import { Listener, type Tls } from './listener.ts';
import type { OwnHosts } from './own-hosts.ts';
import { PumpKeeper } from './pump.ts';
import { RequestBody, tooLarge } from './request-body.ts';
import { Responder } from './respond.ts';
import { hotKey, parseTarget } from './target.ts';

export type ServerOptions = {
  /** The first one that takes a path answers it. */
  readonly endpoints: readonly Endpoint[];
  /** Asked before anything is looked up or waited for. */
  readonly access: Pick<Access, 'decide' | 'recalls' | 'isTrusted'>;
  readonly hosts: OwnHosts;
  /** Bodies in memory. */
  readonly bodies: Pick<ModuleProxy, 'bodyNow'>;
  readonly events: Events;
  readonly clientStallMs: number;
  /** Whether the store takes files from outside: `Cache-Status` says so. By default it does. */
  readonly isStoring?: () => boolean;
  /** Connections at one time; more are closed as they come. */
  readonly connectionsMax: number;
  /** Of all requests' bodies together. By default a room of its own. */
  readonly bodyRoom?: BodyRoom;
  /** Told of each connection, and of each request but hot ones and looks, before anything is done for it. */
  readonly onWork?: () => void;
};

export class Server {
  readonly #options: ServerOptions;
  readonly #responder: Responder;
  readonly #hot: readonly HotFiles[];
  readonly #keeper: PumpKeeper;
  readonly #bodyRoom: BodyRoom;
  readonly #open = new Set<Client>();
  readonly #listeners: Listener[] = [];
  readonly #pause: DescriptorPause;
  #connections = 0;
  #onIdle: (() => void) | undefined;

  constructor(options: ServerOptions) {
    this.#options = options;
    this.#hot = options.endpoints.flatMap(({ hot }) => hot ?? []);
    this.#keeper = new PumpKeeper({ stallMs: options.clientStallMs, now: () => performance.now() });
    const { events, isStoring = () => true, bodyRoom = new BodyRoom() } = options;
    this.#bodyRoom = bodyRoom;
    this.#responder = new Responder({ events, keeper: this.#keeper, isStoring });
    this.#pause = new DescriptorPause({
      pause: () => {
        for (const listener of this.#listeners) listener.pause();
      },
      resume: async () => (await Promise.all(this.#listeners.map((one) => one.resume()))).every(Boolean),
      onPause: (why) => events.acceptingPaused(why),
    });
  }

  /**
   * Listens, alone on its port. May be called several times: all addresses have the same endpoints.
   *
   * @returns the port, or 0 for a Unix socket; undefined when the address is taken or not ours
   * @throws {Error} TLS files that can't be read or don't fit together
   */
  async listen(address: Address, tls?: Tls): Promise<number | undefined> {
    const listener = new Listener(tls, {
      onGet: (res, req) => this.#onGet(res, req),
      onOther: (res, req) => this.#onOther(res, req),
      onConnection: (res, change) => this.#onConnection(res, change),
    });
    this.#listeners.push(listener);
    return listener.listen(address);
  }

  /**
   * New connections get the certificates that the TLS files hold now; open ones go on as they are.
   *
   * @returns how many listeners have one
   * @throws {Error} files that can't be read or don't fit together: the certificates from before stay
   */
  async renewCertificates(): Promise<number> {
    const renewed = await Promise.all(this.#listeners.map((listener) => listener.renewed()));
    const successors = renewed.flatMap((listener) => listener ?? []);
    this.#listeners.push(...successors);
    return successors.length;
  }

  /** Requests that are being answered now, but for hot ones, and open connections. */
  get open(): { readonly requests: number; readonly connections: number } {
    return { requests: this.#open.size, connections: this.#connections };
  }

  /** The event loop is busy all the time: it may spin for want of file descriptors. */
  noteBusy(): void {
    this.#pause.look();
  }

  /** Stops accepting, lets answers in flight end within `graceMs`, closes everything. */
  async stop(graceMs: number): Promise<void> {
    this.#pause.stop();
    for (const listener of this.#listeners) listener.stopAccepting();
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
    for (const listener of this.#listeners) listener.close();
  }

  #onConnection(res: Pick<HttpResponse, 'close'>, change: number): void {
    this.#connections += change;
    const { connectionsMax, events, onWork } = this.#options;
    if (change > 0) onWork?.();
    if (change < 0 || this.#connections <= connectionsMax) return;
    events.connectionRefused(connectionsMax);
    res.close();
  }

  #onGet(res: HttpResponse, req: HttpRequest): void {
    const url = req.getUrl();
    const asked = url.startsWith(TOKEN_PREFIX) ? splitTokenPath(url) : { path: url, token: undefined };
    const key = hotKey(asked.path);
    const hot = this.#hotOf(key);
    const file = hot?.peek(key);
    if (hot !== undefined && file !== undefined && this.#options.hosts.has(req.getHeader('host'))) {
      // Where it can't be said at once, its client is asked for its right on the longer way.
      if (
        file.visibility === 'public' ||
        this.#mayHave(res, req, file, asked.token, () => hot.moduleOf(key))
      ) {
        const body = this.#options.bodies.bodyNow(file);
        if (body !== undefined && announcedBytes(req) <= UNREAD_BODY_BYTES_MAX) {
          this.#responder.hot(res, req, asked.path, file, body);
          return;
        }
      }
    }
    this.#begin(new Client(res, req, { url, method: 'GET' }), req);
  }

  #hotOf(key: string): HotFiles | undefined {
    for (const hot of this.#hot) if (key.startsWith(hot.prefix)) return hot;
    return undefined;
  }

  /** Whether it is known at once that the client may have a private file. */
  #mayHave(
    res: HttpResponse,
    req: HttpRequest,
    file: StoredFile,
    token: string | undefined,
    moduleOf: () => ModulePath | undefined,
  ): boolean {
    const { access } = this.#options;
    const login = token === undefined ? req.getHeader('authorization') : tokenHeader(token);
    if (login !== '' && access.recalls(login, file, moduleOf)) return true;
    return access.isTrusted(new Uint8Array(res.getRemoteAddress()));
  }

  #onOther(res: HttpResponse, req: HttpRequest): void {
    this.#begin(new Client(res, req, { url: req.getUrl(), method: req.getCaseSensitiveMethod() }), req);
  }

  /** The way of all requests but hot ones. */
  #begin(client: Client, req: HttpRequest): void {
    this.#admit(client);
    let name = 'malformed';
    const fail = (error: unknown) => this.#responder.error(client, error, name);
    try {
      this.#options.hosts.demand(client.host);
      const route = routeOf(this.#options.endpoints, parseTarget(client.url, client.query));
      name = route?.name ?? 'other';
      if (route?.isLook !== true) this.#options.onWork?.();
      const methods = route?.methods ?? READ_ONLY;
      if (!methods.includes(client.method)) this.#refuseMethod(client, methods);
      else if (route === undefined)
        this.#responder.text(client, 404, 'cannot find that: not a path of a GOPROXY\n');
      else {
        const rights = [
          heard(this.#demandRight(client, route)),
          heard(route.admit?.(client, (name) => req.getHeader(name))),
        ].filter((right) => right !== undefined);
        this.#takeBody(client, route);
        const answer = () => (client.isOver ? undefined : route.answer(client, this.#responder));
        (rights.length === 0 ? answer() : Promise.all(rights).then(answer))?.catch(fail);
      }
    } catch (error) {
      fail(error);
    }
  }

  /** From here on the client may go at any time. */
  #admit(client: Client): void {
    this.#open.add(client);
    client.onOver = () => {
      client.body?.close();
      this.#open.delete(client);
      if (this.#open.size === 0) this.#onIdle?.();
    };
    client.res.onAborted(() => {
      client.pump?.abort();
      client.finish();
    });
  }

  /**
   * Checks the client's right to the route's module. If a password must be checked, the promise resolves when it is right.
   *
   * @throws as `Access.decide` does, if the client may not have the module
   */
  #demandRight(client: Client, { module }: Route): Promise<void> | undefined {
    if (module === undefined) return undefined;
    const decided = this.#options.access.decide(client, module);
    if (decided instanceof Promise) {
      return decided.then((visibility) => {
        client.visibility = visibility;
      });
    }
    client.visibility = decided;
    return undefined;
  }

  /** @throws {TooLarge} it is announced as longer than the route takes */
  #takeBody(client: Client, { bodyBytesMax }: Route): void {
    const { res, method, announcedBytes } = client;
    if (bodyBytesMax === undefined || (method !== 'PUT' && method !== 'POST')) {
      // uWebSockets throws the bytes of a short one away.
      if (announcedBytes > UNREAD_BODY_BYTES_MAX) throw tooLarge(UNREAD_BODY_BYTES_MAX);
      return;
    }
    if (announcedBytes !== Infinity && announcedBytes > bodyBytesMax) throw tooLarge(bodyBytesMax);
    client.body = new RequestBody({ res, bytesMax: bodyBytesMax, announcedBytes, room: this.#bodyRoom });
  }

  #refuseMethod(client: Client, methods: readonly string[]): void {
    const text = `cannot ${client.method.slice(0, 20)}: only ${methods.join(' and ')}\n`;
    this.#responder.text(client, 405, text, { headers: [`Allow: ${methods.join(', ')}`] });
  }
}

/** What comes after a check that was begun may throw. Nobody awaits the check then, and its failure must not end the process. */
function heard(right: Promise<void> | undefined): Promise<void> | undefined {
  right?.catch(() => {});
  return right;
}
