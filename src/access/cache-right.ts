/**
 * Decides who may use the build cache: logins with the scope `cache-write` or `cache-read`, and programs on the server's
 * own machine. Unless the server demands it, reading needs no login.
 *
 * Nobody can check an action's entry, so a client that may put one can run code on all clients that read it. A login can
 * be tied to namespaces, so that a build of foreign code writes only where builds of its kind read. A request from
 * loopback may come from elsewhere: a reverse proxy passes it on, or a web page in this machine's browser sends it, by a
 * host name that points here. Both show in the request's headers.
 */

import { MAIN_NAMESPACE } from '../core/cache-id.ts';
import { Forbidden, Unauthorized } from '../core/errors.ts';
import { isLoopbackHost } from '../core/loopback-host.ts';
import { isWithin, LOOPBACK, plainIp } from '../core/network.ts';
import { quote } from '../core/quote.ts';
import type { Credentials } from './credentials.ts';
import type { Logins } from './logins.ts';
import { grants, type Scope } from './scope.ts';

export type CacheRequest = {
  /** The client's address: 4 or 16 bytes in network order; none for a Unix socket. */
  readonly address: Uint8Array;
  /** Undefined: it sent none. */
  readonly credentials: Credentials | undefined;
  /** Undefined: an output, which is in no namespace. */
  readonly namespace: string | undefined;
  /** A header of the request by its lower-case name; empty where it has none. */
  header(name: string): string;
};

export type CacheRightOptions = {
  /** Undefined: nobody can log in. */
  readonly logins: Pick<Logins, 'scopesOf'> | undefined;
  /** Whether reading takes a login too. */
  readonly readNeedsLogin: boolean;
};

type Demand = { readonly what: string; readonly wanted: 'cache-read' | 'cache-write' };

const READ: Demand = { what: 'read the build cache', wanted: 'cache-read' };
const WRITE: Demand = { what: 'put into the build cache', wanted: 'cache-write' };

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
  readonly #options: CacheRightOptions;

  constructor(options: CacheRightOptions) {
    this.#options = options;
  }

  /**
   * A login may read the namespaces that it may write. All who may read any may read the main one.
   *
   * Resolves, where a password is to be checked, when it is right.
   *
   * @throws as `demandWrite`
   */
  demandRead(request: CacheRequest): Promise<void> | undefined {
    return this.#options.readNeedsLogin ? this.#demand(request, READ) : undefined;
  }

  /**
   * Resolves, where a password is to be checked, when it is right.
   *
   * @throws {Unauthorized} it is no program on this machine, and there is no login, or a wrong one
   * @throws {Forbidden} the login lacks the scope for the namespace, or a web page asks. @throws {Busy} the login can't be
   * checked now
   */
  demandWrite(request: CacheRequest): Promise<void> | undefined {
    return this.#demand(request, WRITE);
  }

  #demand(request: CacheRequest, demand: Demand): Promise<void> | undefined {
    const { address, credentials } = request;
    const { logins } = this.#options;
    if (credentials === undefined || logins === undefined) {
      if (isOwnMachine(request)) return undefined;
      throw new Unauthorized(
        `cannot ${demand.what}: a token with the scope "${demand.wanted}" is needed, from --auth-file of the server`,
      );
    }
    // A browser sends the login that its user once typed, and a page needs no leave for a POST.
    if (demand === WRITE && request.header('origin') !== '')
      throw new Forbidden(`cannot ${demand.what}: the request comes from a web page`);
    const scopes = logins.scopesOf(credentials, address);
    if (scopes instanceof Promise) return scopes.then((scopes) => demandScope(scopes, demand, request));
    demandScope(scopes, demand, request);
    return undefined;
  }
}

function demandScope(
  scopes: readonly Scope[],
  { what, wanted }: Demand,
  { namespace }: Pick<CacheRequest, 'namespace'>,
): void {
  const isRead = wanted === 'cache-read';
  const needed = isRead && namespace === MAIN_NAMESPACE ? undefined : namespace;
  if (grants(scopes, wanted, needed) || (isRead && grants(scopes, 'cache-write', needed))) return;
  const place = needed === undefined ? '' : ` for the namespace ${quote(needed)}`;
  throw new Forbidden(`cannot ${what}: the login lacks the scope "${wanted}"${place}`);
}

function isOwnMachine({ address, header }: CacheRequest): boolean {
  if (address.byteLength === 0) return true;
  return (
    isWithin(LOOPBACK, plainIp(address)) &&
    isLoopbackHost(header('host').replace(/:\d{1,5}$/, '')) &&
    PASSED_ON.every((name) => header(name) === '')
  );
}
