/**
 * Decides whether a client may read a module, from its address and its login, without I/O.
 *
 * The front asks before it looks into memory or store and before it joins or starts a flight, so that nothing of a
 * private module reaches a client without the right.
 */

import type { Visibility } from '../core/answer.ts';
import { Forbidden, Unauthorized } from '../core/errors.ts';
import { prefixMatcher } from '../core/glob.ts';
import type { ModulePath } from '../core/module-path.ts';
import { formatIp, isWithin, type Network, plainIp } from '../core/network.ts';
import { quote } from '../core/quote.ts';
import type { Credentials } from './credentials.ts';
import type { Logins } from './logins.ts';
import type { Scope } from './scope.ts';

export type AccessOptions = {
  /** Lists of patterns, as `matchPrefixPatterns` takes them: a module that one of them matches is private. */
  readonly privatePatterns: readonly string[];
  /** The networks whose clients may read private modules. */
  readonly privateNetworks: readonly Network[];
  /** Undefined: nobody can log in. */
  readonly logins?: Pick<Logins, 'scopesOf'> | undefined;
};

export type AccessRequest = {
  /** The client's address: 4 or 16 bytes in network order; none for a Unix socket. */
  readonly address: Uint8Array;
  /** Undefined: it sent none. They are looked at only where its address gives no right. */
  readonly credentials: Credentials | undefined;
  /** The module that the answer would tell of. */
  readonly module: ModulePath;
};

/** A client at a Unix socket counts as one at these. */
const LOCALHOSTS: readonly Uint8Array[] = [Uint8Array.of(127, 0, 0, 1), new Uint8Array(16).fill(1, 15)];

export class Access {
  readonly #matchers: readonly ((path: ModulePath) => boolean)[];
  readonly #networks: readonly Network[];
  readonly #isLocalAllowed: boolean;
  readonly #logins: AccessOptions['logins'];

  constructor({ privatePatterns, privateNetworks, logins }: AccessOptions) {
    this.#matchers = privatePatterns.filter((patterns) => patterns !== '').map(prefixMatcher);
    this.#networks = privateNetworks;
    this.#logins = logins;
    this.#isLocalAllowed = LOCALHOSTS.some((address) => isWithin(privateNetworks, address));
  }

  /** The visibility of a module's files. */
  visibilityOf = (module: ModulePath): Visibility =>
    this.#matchers.some((matches) => matches(module)) ? 'private' : 'public';

  /**
   * Whether the client may have the answer; a promise where its password must be checked first.
   *
   * @returns who else may get it
   * @throws {Forbidden} the module is private, and neither the client's network nor its login may read it
   * @throws {Unauthorized} the module is private, and there is no login, or a wrong one
   * @throws {Busy} the login can't be checked now
   */
  decide({ address, credentials, module }: AccessRequest): Visibility | Promise<Visibility> {
    const visibility = this.visibilityOf(module);
    if (visibility === 'public' || this.#isTrusted(address)) return visibility;
    if (this.#logins === undefined) throw new Forbidden(refusal(address, module));
    if (credentials === undefined) {
      throw new Unauthorized(`${refusal(address, module)}; a login is needed, from .netrc, or a token`);
    }
    const scopes = this.#logins.scopesOf(credentials, address);
    return scopes instanceof Promise
      ? scopes.then((scopes) => demandPrivate(scopes, module))
      : demandPrivate(scopes, module);
  }

  #isTrusted(address: Uint8Array): boolean {
    return address.byteLength === 0 ? this.#isLocalAllowed : isWithin(this.#networks, plainIp(address));
  }
}

function demandPrivate(scopes: readonly Scope[], module: ModulePath): Visibility {
  if (scopes.includes('private')) return 'private';
  throw new Forbidden(
    `cannot give ${quote(module)}: it is private here, and the login lacks the scope "private"`,
  );
}

function refusal(address: Uint8Array, module: ModulePath): string {
  const client = address.byteLength === 0 ? 'this machine' : formatIp(plainIp(address));
  return `cannot give ${quote(module)}: it is private here, and --private-allow of the server does not name the network of ${client}`;
}
