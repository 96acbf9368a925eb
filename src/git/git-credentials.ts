/**
 * The credentials that Git would send to a URL, for the requests that are not Git's own.
 *
 * In Git's order: `http.<url>.extraHeader`, the credential helpers, netrc.
 */

import { readFile } from 'node:fs/promises';
import { type Login, loginOf, parseNetrc } from '../core/netrc.ts';
import type { Git } from './git-command.ts';
import { GitFailed } from './git-command.ts';

export type GitCredentialsOptions = {
  readonly git: Git;
  /** The netrc file of the server's user. */
  readonly netrcPath: string | undefined;
};

export class GitCredentials {
  readonly #options: GitCredentialsOptions;

  constructor(options: GitCredentialsOptions) {
    this.#options = options;
  }

  /** The headers for one request; none without credentials, and none over http. Never fails: a helper that does gives none. */
  async headersFor(url: string): Promise<Readonly<Record<string, string>>> {
    return new URL(url).protocol === 'https:' ? await this.#find(url) : {};
  }

  /** Whether Git has a login for a URL. An ssh server always gets one: the user's name. */
  async has(url: string): Promise<boolean> {
    return /^https?:/.test(url) ? Object.keys(await this.#find(url)).length > 0 : true;
  }

  async #find(url: string): Promise<Readonly<Record<string, string>>> {
    const extra = await this.#ask(['config', '--get-urlmatch', 'http.extraHeader', url]);
    const header = /^([A-Za-z0-9-]+)[ \t]*:[ \t]*([^\r\n]*)/.exec(extra);
    if (header?.[1] !== undefined) return { [header[1].toLowerCase()]: header[2] ?? '' };
    const login = await this.#login(url);
    return login === undefined ? {} : basic(login);
  }

  /** The user and password for a URL; none over http. */
  async loginFor(url: string): Promise<Login | undefined> {
    return new URL(url).protocol === 'https:' ? await this.#login(url) : undefined;
  }

  async #login(url: string): Promise<Login | undefined> {
    const { protocol, host, hostname, pathname } = new URL(url);
    const asked = `protocol=${protocol.slice(0, -1)}\nhost=${host}\npath=${pathname.slice(1)}\n\n`;
    const filled = await this.#ask(['credential', 'fill'], asked);
    const [login, password] = [field(filled, 'username'), field(filled, 'password')];
    if (login !== undefined && password !== undefined) return { login, password };
    return loginOf(parseNetrc(await this.#netrc()), hostname);
  }

  async #ask(args: readonly string[], input?: string): Promise<string> {
    try {
      return (
        await this.#options.git.run(args, { ...(input === undefined ? {} : { input }), timeoutMs: 20_000 })
      ).toString();
    } catch (error) {
      if (error instanceof GitFailed) return '';
      throw error;
    }
  }

  async #netrc(): Promise<string> {
    const { netrcPath } = this.#options;
    return netrcPath === undefined ? '' : await readFile(netrcPath, 'utf8').catch(() => '');
  }
}

function basic({ login, password }: Login) {
  return { authorization: `Basic ${Buffer.from(`${login}:${password}`).toString('base64')}` };
}

function field(text: string, name: string): string | undefined {
  return text
    .split('\n')
    .find((line) => line.startsWith(`${name}=`))
    ?.slice(name.length + 1);
}
