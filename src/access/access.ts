/**
 * Who may read what. Pure: it decides from a client's address and the module that is asked for, without I/O.
 *
 * The front asks before it looks into memory or store and before it joins or starts a flight, so that nothing of a
 * private module reaches a client without the right.
 */

import type { Visibility } from '../core/answer.ts';
import { Forbidden } from '../core/errors.ts';
import { prefixMatcher } from '../core/glob.ts';
import type { ModulePath } from '../core/module-path.ts';
import { formatIp, isWithin, type Network, plainIp } from '../core/network.ts';

export type AccessOptions = {
  /** Lists of patterns, as `matchPrefixPatterns` takes them: a module that one of them matches is private. */
  readonly privatePatterns: readonly string[];
  /** The networks whose clients may read private modules. */
  readonly privateNetworks: readonly Network[];
};

export type AccessRequest = {
  /** The client's address: 4 or 16 bytes in network order; none for a Unix socket. */
  readonly address: Uint8Array;
  /** The module that the answer would tell of. */
  readonly module: ModulePath;
};

/** A client at a Unix socket counts as one at these. */
const LOCALHOSTS: readonly Uint8Array[] = [Uint8Array.of(127, 0, 0, 1), new Uint8Array(16).fill(1, 15)];

export class Access {
  readonly #matchers: readonly ((path: ModulePath) => boolean)[];
  readonly #networks: readonly Network[];
  readonly #isLocalAllowed: boolean;

  constructor({ privatePatterns, privateNetworks }: AccessOptions) {
    this.#matchers = privatePatterns.filter((patterns) => patterns !== '').map(prefixMatcher);
    this.#networks = privateNetworks;
    this.#isLocalAllowed = LOCALHOSTS.some((address) => isWithin(privateNetworks, address));
  }

  /** Who may get what is stored of a module. */
  visibilityOf = (module: ModulePath): Visibility =>
    this.#matchers.some((matches) => matches(module)) ? 'private' : 'public';

  /**
   * Whether the client may have the answer.
   *
   * @returns who else may get it
   * @throws {Forbidden} the module is private, and the client's network is not among those that may read it
   */
  decide({ address, module }: AccessRequest): Visibility {
    const visibility = this.visibilityOf(module);
    if (visibility === 'public' || this.#isTrusted(address)) return visibility;
    const client = address.byteLength === 0 ? 'this machine' : formatIp(plainIp(address));
    throw new Forbidden(
      `cannot give ${JSON.stringify(module)}: it is private here, and --private-allow of the server does not name the network of ${client}`,
    );
  }

  #isTrusted(address: Uint8Array): boolean {
    return address.byteLength === 0 ? this.#isLocalAllowed : isWithin(this.#networks, plainIp(address));
  }
}
