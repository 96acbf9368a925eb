/**
 * The names that a `Host` header may have.
 *
 * The owner of a site can let its name lead to this server's address (DNS rebinding). A page of that site then has a
 * browser ask this server under the site's own name, and the browser lets the page read the answer. If the browser runs
 * on this machine, that is all that loopback may read. Such a name has an owner in the public DNS. So addresses, names
 * that nobody can own there, and the names of `--hosts` are ours. The client's address is `access/`'s matter.
 */

import { isIP } from 'node:net';
import { Misdirected } from '../core/errors.ts';
import { quote } from '../core/quote.ts';

export class OwnHosts {
  readonly #names: ReadonlySet<string>;
  /** With their leading dot. */
  readonly #suffixes: readonly string[];
  /** The last header that was ours: nearly all requests bring the same one. */
  #last = '';

  /** @param names as `parseHostNames` gives them */
  constructor(names: readonly string[]) {
    this.#names = new Set(names.filter((name) => !name.startsWith('*.')));
    this.#suffixes = [...PRIVATE_SUFFIXES, ...names.flatMap((name) => /^\*(\..*)$/.exec(name)?.[1] ?? [])];
  }

  /** @param header as it came; empty for a client without one, which is no browser */
  has(header: string): boolean {
    if (header === this.#last) return true;
    if (!this.#isOwn(header)) return false;
    this.#last = header;
    return true;
  }

  /** @throws {Misdirected} it is not ours */
  demand(header: string): void {
    if (this.has(header)) return;
    throw new Misdirected(
      `cannot answer for host ${quote(header)}: not a name of this Astera; add it to --hosts`,
    );
  }

  #isOwn(header: string): boolean {
    if (header === '' || this.#names.has('*')) return true;
    const [, ipv6, text = ''] = HOST.exec(header) ?? [];
    if (ipv6 !== undefined) return isIP(ipv6) === 6;
    const name = text.toLowerCase().replace(/\.$/, '');
    if (name === '') return false;
    if (!name.includes('.') || isIP(name) === 4 || this.#names.has(name)) return true;
    return this.#suffixes.some((suffix) => name.endsWith(suffix));
  }
}

/** A host and its port, if it has one. */
const HOST = /^(?:\[([0-9A-Fa-f:.]{2,45})\]|([A-Za-z0-9._-]{1,255}))(?::[0-9]{0,5})?$/;

/** Nobody can own a name below these in the public DNS: RFC 6762, 6761, 8375, ICANN's `.internal`, home routers' `.lan`. */
const PRIVATE_SUFFIXES = ['.local', '.localhost', '.home.arpa', '.internal', '.lan'];
