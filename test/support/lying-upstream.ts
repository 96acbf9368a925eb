/**
 * A GOPROXY on loopback of made-up modules, with a checksum database behind its `/sumdb/`, which
 * tells the truth until a test makes it lie.
 */

import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { bufferSource } from '../../src/modzip/byte-source.ts';
import { hashGoMod } from '../../src/modzip/go-mod-hash.ts';
import { hashZip } from '../../src/modzip/zip-hash.ts';
import { type MadeUpModule, madeUpFiles } from './module-zip.ts';
import type { SumdbServer } from './sumdb-server.ts';

/** Decoded path -> body. Undefined is a 404. */
export type Alter = (
  path: string,
  bytes: Uint8Array | undefined,
) => Uint8Array | undefined | Promise<Uint8Array | undefined>;

const HONEST: Alter = (_, bytes) => bytes;

export class LyingUpstream {
  readonly url: string;
  /** Decoded paths asked for, in order. */
  asked: string[] = [];
  /** Bytes of bodies sent. */
  bodyBytes = 0;
  /** What goes out in the place of the truth. */
  alter: Alter = HONEST;
  /** While set: every path that matches is answered 503, as if the line behind were down. */
  isDown: RegExp | undefined;
  readonly #server: Server;
  readonly #database: SumdbServer | undefined;
  readonly #bodies: ReadonlyMap<string, Uint8Array>;

  /**
   * Listens on a free port of loopback.
   *
   * @param database what `/sumdb/<its name>/` is passed on to; without it that is a 404
   */
  static async start(
    modules: readonly MadeUpModule[],
    { database, port = 0 }: { database?: SumdbServer; port?: number } = {},
  ): Promise<LyingUpstream> {
    const bodies = new Map<string, Uint8Array>();
    for (const module of modules) {
      for (const [kind, bytes] of Object.entries(madeUpFiles(module))) {
        bodies.set(`${escapeCapitals(module.path)}/@v/${module.version}.${kind}`, bytes);
      }
    }
    const server = createServer();
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    return new LyingUpstream(server, bodies, database);
  }

  private constructor(
    server: Server,
    bodies: ReadonlyMap<string, Uint8Array>,
    database: SumdbServer | undefined,
  ) {
    this.#server = server;
    this.#bodies = bodies;
    this.#database = database;
    this.url = `http://127.0.0.1:${this.port}`;
    server.on('request', (request, response) => {
      this.#answer(request, response).catch((error: unknown) => response.destroy(error as Error));
    });
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** How often a path was asked for. */
  count(path: string | RegExp): number {
    return this.asked.filter((one) => (typeof path === 'string' ? one === path : path.test(one))).length;
  }

  /** Stops at once, as often as it is told. */
  async close(): Promise<void> {
    if (!this.#server.listening) return;
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, 'close');
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = decodeURIComponent((request.url ?? '/').slice(1));
    this.asked.push(path);
    const isDown = this.isDown?.test(path) === true;
    const body = isDown ? undefined : await this.alter(path, await this.#truth(path));
    if (body === undefined) {
      response.writeHead(isDown ? 503 : 404, { 'content-type': 'text/plain; charset=UTF-8' });
      response.end(isDown ? 'down\n' : `not found: ${path}\n`);
      return;
    }
    this.bodyBytes += body.byteLength;
    response.writeHead(200, {
      'content-length': body.byteLength,
      'content-type': 'application/octet-stream',
    });
    response.end(body);
  }

  async #truth(path: string): Promise<Uint8Array | undefined> {
    if (!path.startsWith('sumdb/')) return this.#bodies.get(path);
    const prefix = `sumdb/${this.#database?.name}/`;
    if (this.#database === undefined || !path.startsWith(prefix)) return undefined;
    const rest = path.slice(prefix.length);
    return rest === 'supported' ? new Uint8Array(0) : this.#database.fetch(rest).catch(() => undefined);
  }
}

/** The go.sum lines of a made-up module: what a checksum database has as its record. */
export async function sumLines({ path, version, ...rest }: MadeUpModule): Promise<string> {
  const { zip, mod } = madeUpFiles({ path, version, ...rest });
  const { h1 } = hashZip(bufferSource(zip), { module: path, version });
  return `${path} ${version} ${h1}\n${path} ${version}/go.mod ${hashGoMod(mod)}\n`;
}

function escapeCapitals(plain: string): string {
  return plain.replace(/[A-Z]/g, (letter) => `!${letter.toLowerCase()}`);
}
