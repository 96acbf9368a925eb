/**
 * Decides whether a client may read a module, or the server's own figures, from its address and its login, without I/O.
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
import type { Grant } from './grant.ts';
import type { Logins } from './logins.ts';
import type { ModuleScope } from './scope.ts';

export type AccessOptions = {
  /** Lists of patterns, as `matchPrefixPatterns` takes them: a module that one of them matches is private. */
  readonly privatePatterns: readonly string[];
  /** Such a list too: a module that it matches needs a login as well, if it is public elsewhere. */
  readonly loginPatterns?: string;
  /** The networks whose clients may read both without a login. */
  readonly privateNetworks: readonly Network[];
  /** Undefined: nobody can log in. */
  readonly logins?: Pick<Logins, 'grantOf' | 'recall'> | undefined;
};

export type AccessRequest = {
  /** The client's address: 4 or 16 bytes in network order; none for a Unix socket. Read only if it matters: it may cost. */
  readonly address: Uint8Array;
  /** Undefined: it sent none. They are looked at only where its address gives no right. */
  readonly credentials: Credentials | undefined;
};

/** Whether somebody may be told of a module. */
export type ModuleView = (module: ModulePath) => boolean;

type Matcher = (path: ModulePath) => boolean;

/** A client at a Unix socket counts as one at these. */
const LOCALHOSTS: readonly Uint8Array[] = [Uint8Array.of(127, 0, 0, 1), new Uint8Array(16).fill(1, 15)];

export class Access {
  readonly #privates: readonly Matcher[];
  readonly #needsLogin: Matcher | undefined;
  readonly #networks: readonly Network[];
  readonly #isLocalAllowed: boolean;
  readonly #logins: AccessOptions['logins'];

  constructor({ privatePatterns, loginPatterns = '', privateNetworks, logins }: AccessOptions) {
    this.#privates = privatePatterns.filter((patterns) => patterns !== '').map(prefixMatcher);
    this.#needsLogin = loginPatterns === '' ? undefined : prefixMatcher(loginPatterns);
    this.#networks = privateNetworks;
    this.#logins = logins;
    this.#isLocalAllowed = LOCALHOSTS.some((address) => isWithin(privateNetworks, address));
  }

  /** The visibility of a module's files: `private` where a client needs a right. */
  visibilityOf = (module: ModulePath): Visibility =>
    this.#needOf(module) === undefined ? 'public' : 'private';

  /**
   * Whether the client may have the answer; a promise where its password must be checked first.
   *
   * @param module that the answer would tell of
   * @returns who else may get it
   * @throws {Forbidden} neither the client's network nor its login may read the module
   * @throws {Unauthorized} its network may not, and there is no login, or a wrong one
   * @throws {Busy} the login can't be checked now
   */
  decide(client: AccessRequest, module: ModulePath): Visibility | Promise<Visibility> {
    const need = this.#needOf(module);
    if (need === undefined) return 'public';
    const { address, credentials } = client;
    if (this.isTrusted(address)) return 'private';
    if (this.#logins === undefined) throw new Forbidden(refusal(module, need, notNamed(address)));
    if (credentials === undefined) {
      const why = `${notNamed(address)}; a login is needed, from .netrc, or a token`;
      throw new Unauthorized(refusal(module, need, why));
    }
    const grant = this.#logins.grantOf(credentials, address);
    return grant instanceof Promise
      ? grant.then((grant) => judge(grant, module, need))
      : judge(grant, module, need);
  }

  /**
   * Asks for the right to see metrics, profiles and the status page. Without a file of users everybody has it. Resolves, where a password is
   * to be checked, when it is right.
   *
   * @throws {Forbidden} the login lacks the scope
   * @throws {Unauthorized} the client's network is not trusted, and there is no login, or a wrong one
   * @throws {Busy} the login can't be checked now
   */
  demandAdmin({ address, credentials }: AccessRequest): Promise<void> | undefined {
    if (this.#logins === undefined || this.isTrusted(address)) return undefined;
    if (credentials === undefined) {
      const why = `${notNamed(address)}; a login with the scope "admin" is needed`;
      throw new Unauthorized(`cannot show this server: ${why}`);
    }
    const grant = this.#logins.grantOf(credentials, address);
    if (grant instanceof Promise) return grant.then(judgeAdmin);
    judgeAdmin(grant);
    return undefined;
  }

  /**
   * Asks for the same right, for a list of modules; a promise where a password must be checked first.
   *
   * @returns which modules the list may name: those that the client may read
   * @throws what `demandAdmin` does
   */
  demandView(client: AccessRequest): ModuleView | Promise<ModuleView> {
    const right = this.demandAdmin(client);
    return right === undefined ? this.#viewOf(client) : right.then(() => this.#viewOf(client));
  }

  /**
   * Whether a login that was good before opens a file in memory, whose visibility is private. False: {@link decide} knows
   * more.
   *
   * @param authorization the header, or the one that says the same as a token in a path
   * @param moduleOf the module that the file is of
   */
  recalls(authorization: string, file: object, moduleOf: () => ModulePath | undefined): boolean {
    const grant = this.#logins?.recall(authorization);
    if (grant === undefined || grant.files.has(file)) return grant !== undefined;
    const module = moduleOf();
    const need = module && this.#needOf(module);
    if (module === undefined || need === undefined || !grant.opens(module, need)) return false;
    grant.files.add(file);
    return true;
  }

  /** Whether the client's network may read all modules. */
  isTrusted(address: Uint8Array): boolean {
    return address.byteLength === 0 ? this.#isLocalAllowed : isWithin(this.#networks, plainIp(address));
  }

  #viewOf({ address, credentials }: AccessRequest): ModuleView | Promise<ModuleView> {
    if (this.isTrusted(address)) return () => true;
    if (this.#logins === undefined || credentials === undefined)
      return (module) => this.#needOf(module) === undefined;
    const view = (grant: Grant) => (module: ModulePath) => {
      const need = this.#needOf(module);
      return need === undefined || grant.opens(module, need);
    };
    const grant = this.#logins.grantOf(credentials, address);
    return grant instanceof Promise ? grant.then(view) : view(grant);
  }

  /** The scope that a client of no trusted network needs for a module. Undefined: none. */
  #needOf(module: ModulePath): ModuleScope | undefined {
    if (this.#privates.some((matches) => matches(module))) return 'private';
    return this.#needsLogin?.(module) ? 'read' : undefined;
  }
}

function judge(grant: Grant, module: ModulePath, need: ModuleScope): Visibility {
  if (grant.opens(module, need)) return 'private';
  const why = grant.opensAny(need) ? 'the login is for other modules' : `the login lacks the scope "${need}"`;
  throw new Forbidden(refusal(module, need, why));
}

function judgeAdmin({ scopes }: Grant): void {
  if (scopes.includes('admin')) return;
  throw new Forbidden('cannot show this server: the login lacks the scope "admin"');
}

function refusal(module: ModulePath, need: ModuleScope, why: string): string {
  return `cannot give ${quote(module)}: it ${need === 'private' ? 'is private' : 'needs a login'} here, and ${why}`;
}

function notNamed(address: Uint8Array): string {
  const client = address.byteLength === 0 ? 'this machine' : formatIp(plainIp(address));
  return `--private-allow of the server does not name the network of ${client}`;
}
