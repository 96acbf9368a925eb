/** One address that requests come in by: a plain or a TLS app of uWebSockets, alone on its port. */

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
};

export class Listener {
  readonly #app: TemplatedApp;
  #socket: us_listen_socket | undefined;
  /** To be removed at the end. */
  #unixPath: string | undefined;

  /** @throws {Error} TLS files that can't be read or don't fit together */
  constructor(tls: Tls | undefined, { onGet, onOther }: Handlers) {
    this.#app =
      tls === undefined ? App() : SSLApp({ cert_file_name: tls.certPath, key_file_name: tls.keyPath });
    this.#app.get('/*', onGet);
    this.#app.any('/*', onOther);
  }

  /** @returns the port, or 0 for a Unix socket; undefined when the address is taken or not ours */
  async listen(address: Address): Promise<number | undefined> {
    if (address.kind === 'unix' && !(await isFreeUnixPath(address.path))) return undefined;
    const socket = await new Promise<us_listen_socket | false>((resolve) => {
      const app = this.#app;
      if (address.kind === 'unix') app.listen_unix(resolve, address.path);
      // Without the option a second server would share the port, silently.
      else if (address.host === '') app.listen(address.port, EXCLUSIVE_PORT, resolve);
      else {
        const { listen } = app as unknown as { listen: ListenAtHost };
        listen.call(app, address.host, address.port, EXCLUSIVE_PORT, resolve);
      }
    });
    if (socket === false) return undefined;
    this.#socket = socket;
    if (address.kind === 'tcp') return us_socket_local_port(socket as never);
    this.#unixPath = address.path;
    return 0;
  }

  /** Takes no new connections. */
  stopAccepting(): void {
    if (this.#socket !== undefined) us_listen_socket_close(this.#socket);
    if (this.#unixPath !== undefined) rmSync(this.#unixPath, { force: true });
    this.#socket = undefined;
    this.#unixPath = undefined;
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
