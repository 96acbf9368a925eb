/** One address of the server: a plain or a TLS app of uWebSockets, alone on its port. */

import {
  App,
  type HttpRequest,
  type HttpResponse,
  SSLApp,
  type TemplatedApp,
  type us_listen_socket,
  us_listen_socket_close,
  us_socket_local_port,
} from 'uWebSockets.js';
import { rmSync } from 'node:fs';
import type { Address } from '../core/address.ts';
import { isFreeUnixPath } from './unix-path.ts';

/** Files in PEM. */
export type Tls = { readonly certPath: string; readonly keyPath: string };

export type Handlers = {
  readonly onGet: (res: HttpResponse, req: HttpRequest) => void;
  readonly onOther: (res: HttpResponse, req: HttpRequest) => void;
  /** A connection has come (1) or gone (-1). One that comes may be closed at once. */
  readonly onConnection: (res: Pick<HttpResponse, 'close'>, change: number) => void;
};

export class Listener {
  readonly #tls: Tls | undefined;
  readonly #handlers: Handlers;
  readonly #app: TemplatedApp;
  /** Its address, with the port that the system chose. */
  #address: Address | undefined;
  #socket: us_listen_socket | undefined;
  /** To be removed at the end. */
  #unixPath: string | undefined;

  /** @throws {Error} TLS files that can't be read or don't fit together */
  constructor(tls: Tls | undefined, handlers: Handlers) {
    this.#tls = tls;
    this.#handlers = handlers;
    this.#app =
      tls === undefined ? App() : SSLApp({ cert_file_name: tls.certPath, key_file_name: tls.keyPath });
    this.#app.filter(handlers.onConnection);
    this.#app.get('/*', handlers.onGet);
    this.#app.any('/*', handlers.onOther);
  }

  /** @returns the port, or 0 for a Unix socket; undefined when the address is taken or not ours */
  async listen(address: Address): Promise<number | undefined> {
    if (address.kind === 'unix' && !(await isFreeUnixPath(address.path))) return undefined;
    // Without the option a second server would share the port, silently.
    if (!(await this.#bind(address, EXCLUSIVE_PORT)) || this.#socket === undefined) return undefined;
    this.#address = address;
    if (address.kind === 'unix') {
      this.#unixPath = address.path;
      return 0;
    }
    const port = us_socket_local_port(this.#socket as never);
    this.#address = { ...address, port };
    if (this.#tls === undefined) return port;
    // The port was free. From here on its successor may share it; a server of another user can't.
    us_listen_socket_close(this.#socket);
    return (await this.#bind(this.#address, SHARED_PORT)) ? port : undefined;
  }

  /**
   * A listener at the same address with the certificate that the files hold now. It takes the new connections; those of
   * this one go on.
   *
   * @returns undefined: there is no certificate
   * @throws {Error} TLS files that can't be read or don't fit together, or the port is lost: then this one listens on
   */
  async renewed(): Promise<Listener | undefined> {
    const address = this.#address;
    if (this.#tls === undefined || address?.kind !== 'tcp') return undefined;
    const next = new Listener(this.#tls, this.#handlers);
    if (!(await next.#bind(address, SHARED_PORT))) throw new Error('the port is not ours any more');
    next.#address = address;
    this.#address = undefined; // It has a successor already.
    this.stopAccepting();
    return next;
  }

  async #bind(address: Address, option: number): Promise<boolean> {
    const socket = await new Promise<us_listen_socket | false>((resolve) => {
      const app = this.#app;
      if (address.kind === 'unix') app.listen_unix(resolve, address.path);
      else if (address.host === '') app.listen(address.port, option, resolve);
      else {
        const { listen } = app as unknown as { listen: ListenAtHost };
        listen.call(app, address.host, address.port, option, resolve);
      }
    });
    this.#socket = socket === false ? undefined : socket;
    return socket !== false;
  }

  /** Takes no new connections until {@link resume}. Those that wait are refused. A Unix socket is let be. */
  pause(): void {
    if (this.#address?.kind !== 'tcp' || this.#socket === undefined) return;
    us_listen_socket_close(this.#socket);
    this.#socket = undefined;
  }

  /** @returns false: not yet, the port can't be had now */
  async resume(): Promise<boolean> {
    const address = this.#address;
    if (address?.kind !== 'tcp' || this.#socket !== undefined) return true;
    return this.#bind(address, this.#tls === undefined ? EXCLUSIVE_PORT : SHARED_PORT);
  }

  /** Takes no new connections any more. */
  stopAccepting(): void {
    if (this.#socket !== undefined) us_listen_socket_close(this.#socket);
    if (this.#unixPath !== undefined) rmSync(this.#unixPath, { force: true });
    this.#socket = undefined;
    this.#unixPath = undefined;
    this.#address = undefined;
  }

  /** Closes every connection. */
  close(): void {
    this.stopAccepting();
    this.#app.close();
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

/** LIBUS_LISTEN_DEFAULT: sockets of one user may listen at one port (SO_REUSEPORT). */
const SHARED_PORT = 0;
