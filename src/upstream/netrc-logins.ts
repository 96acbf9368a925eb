/** The logins of the operator's netrc file for upstreams, as `go` sends them; read at the start and at SIGHUP. */

import { readFileSync, statSync } from 'node:fs';
import { messageOf } from '../core/errors.ts';
import { type Login, loginFor, type NetrcEntry, parseNetrc } from '../core/netrc.ts';
import { quote } from '../core/quote.ts';
import { NETRC_BYTES_MAX } from './limits.ts';

export class NetrcLogins {
  readonly #path: string | undefined;
  readonly #warn: (message: string) => void;
  #entries: readonly NetrcEntry[] = [];

  /**
   * @param path undefined: nobody logs in. As for `go`, a missing file is empty, and its mode does not matter
   * @param warn told of a file that can't be read
   */
  constructor(path: string | undefined, warn: (message: string) => void) {
    this.#path = path;
    this.#warn = warn;
    this.read();
  }

  /** Reads the file again. If that fails, the logins from before stay. */
  read(): void {
    if (this.#path === undefined) return;
    try {
      const stats = statSync(this.#path, { throwIfNoEntry: false });
      if (stats !== undefined && (!stats.isFile() || stats.size > NETRC_BYTES_MAX))
        throw new Error(`not a file of up to ${NETRC_BYTES_MAX} bytes: ${quote(this.#path)}`);
      this.#entries = stats === undefined ? [] : parseNetrc(readFileSync(this.#path, 'utf8'));
    } catch (error) {
      this.#warn(`cannot read the logins for upstreams: ${messageOf(error)}`);
    }
  }

  /** The login for a URL; none over http. */
  readonly loginFor = (url: URL): Login | undefined => loginFor(this.#entries, url);
}
