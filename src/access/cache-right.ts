/**
 * Decides who may put into the build cache: logins with the scope `cache-write`, and programs on the server's own
 * machine.
 *
 * Nobody can check an action's entry, so a client that may put one can run code on all other clients. A request from
 * loopback may come from elsewhere: a reverse proxy passes it on, or a web page in this machine's browser sends it, by a
 * host name that points here. Both show in the request's headers.
 */

import { Forbidden, Unauthorized } from '../core/errors.ts';
import { isWithin, LOOPBACK, plainIp } from '../core/network.ts';
import type { Credentials } from './credentials.ts';
import type { Logins } from './logins.ts';
import type { Scope } from './scope.ts';

export type CacheWriteRequest = {
  /** The client's address: 4 or 16 bytes in network order; none for a Unix socket. */
  readonly address: Uint8Array;
  /** Undefined: it sent none. */
  readonly credentials: Credentials | undefined;
  /** A header of the request by its lower-case name; empty where it has none. */
  header(name: string): string;
};

/** They say that the request comes from somewhere else. */
const PASSED_ON: readonly string[] = [
  'forwarded',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
  'x-real-ip',
  'via',
  'origin',
];

export class CacheRight {
  readonly #logins: Pick<Logins, 'scopesOf'> | undefined;

  /** @param logins undefined: nobody can log in */
  constructor(logins: Pick<Logins, 'scopesOf'> | undefined) {
    this.#logins = logins;
  }

  /**
   * Resolves, where a password is to be checked, when it is right.
   *
   * @throws {Unauthorized} it is no program on this machine, and there is no login, or a wrong one
   * @throws {Forbidden} the login lacks the scope. @throws {Busy} the login can't be checked now
   */
  demand(request: CacheWriteRequest): Promise<void> | undefined {
    const { address, credentials } = request;
    if (credentials === undefined || this.#logins === undefined) {
      if (isOwnMachine(request)) return undefined;
      throw new Unauthorized(
        'cannot put into the build cache: a token with the scope "cache-write" is needed, from --auth-file of the server',
      );
    }
    const scopes = this.#logins.scopesOf(credentials, address);
    if (scopes instanceof Promise) return scopes.then(demandWrite);
    demandWrite(scopes);
    return undefined;
  }
}

function demandWrite(scopes: readonly Scope[]): void {
  if (scopes.includes('cache-write')) return;
  throw new Forbidden('cannot put into the build cache: the login lacks the scope "cache-write"');
}

function isOwnMachine({ address, header }: CacheWriteRequest): boolean {
  if (address.byteLength === 0) return true;
  return (
    isWithin(LOOPBACK, plainIp(address)) &&
    isLoopbackHost(header('host')) &&
    PASSED_ON.every((name) => header(name) === '')
  );
}

/** `localhost`, `127.0.0.1` or `[::1]`, with or without a port. */
function isLoopbackHost(host: string): boolean {
  return /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?$/i.test(host);
}
