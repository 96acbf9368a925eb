/**
 * URLs of repositories, from settings and from servers: which of them may be handed to `git`, and over which protocol.
 */

import { BadRequest } from '../core/errors.ts';
import { quote } from '../core/quote.ts';
import type { Protocol } from './git-environment.ts';
import { oneLine } from './words.ts';

/** Which schemes a URL may have: `own` ones come from this server's settings. */
export type UrlTrust = 'secure' | 'insecure' | 'own';

/**
 * Checks that `git` takes `url` for nothing but a repository at a server: a scheme that is allowed, a host, no option,
 * no password, no control character.
 *
 * @throws {BadRequest} with the reason and the way out
 */
export function checkRepositoryUrl(url: string, trust: UrlTrust): void {
  const fault = faultOf(url, trust);
  if (fault !== undefined) throw new BadRequest(`cannot use repository ${quote(oneLine(url))}: ${fault}`);
}

/** The protocol of a URL, as Git names it; undefined for one that runs programs, or for none. */
export function protocolOf(url: string): Protocol | undefined {
  const scheme = SCHEME.exec(url)?.[1];
  if (scheme === undefined) return undefined;
  return Object.hasOwn(PROTOCOLS, scheme) ? PROTOCOLS[scheme as keyof typeof PROTOCOLS] : undefined;
}

const PROTOCOLS = {
  https: 'https',
  http: 'http',
  ssh: 'ssh',
  'git+ssh': 'ssh',
  'ssh+git': 'ssh',
  git: 'git',
  file: 'file',
} as const satisfies Record<string, Protocol>;

/** The protocols that say who the server is and that nobody reads along. */
const SECURE: readonly Protocol[] = ['https', 'ssh'];

const SCHEME = /^([a-z][a-z0-9+.-]*):\/\//;

function faultOf(url: string, trust: UrlTrust): string | undefined {
  if (url.length > URL_LENGTH_MAX) return `over ${URL_LENGTH_MAX} characters`;
  if (/[\s\p{C}"'<>\\^`{|}]/u.test(url)) return 'a character that no URL has';
  const protocol = protocolOf(url);
  const [, scpHost, scpPath] = /^([\w.-]+@[\w.-]+):(?!\/\/)\/?(.*)$/.exec(url) ?? [];
  if (scpHost !== undefined) return `write it as ssh://${scpHost}/${scpPath}`;
  if (protocol === undefined) return 'not a URL with https://, ssh:// or another scheme that is allowed';
  if (protocol === 'file' && trust !== 'own') return 'file:// is allowed in --git only';
  if (trust === 'secure' && !SECURE.includes(protocol))
    return `${protocol}:// is not secure; set --insecure for this path if that is wanted`;
  return authorityFault(url.replace(SCHEME, ''), protocol);
}

function authorityFault(rest: string, protocol: Protocol): string | undefined {
  const slash = rest.indexOf('/');
  const authority = slash < 0 ? rest : rest.slice(0, slash);
  const at = authority.lastIndexOf('@');
  const user = authority.slice(0, Math.max(at, 0));
  if (user.includes(':') || (user !== '' && protocol !== 'ssh'))
    return "credentials in a URL show in process lists; use a credential helper or ~/.netrc of the server's user";
  if (at >= 0 && !/^[A-Za-z0-9_][A-Za-z0-9_.+~-]*$/.test(user)) return 'not a user name';
  const host = authority.slice(at + 1);
  if (protocol === 'file') return host === '' ? undefined : 'file:// takes no host';
  if (!/^(?:[A-Za-z0-9][A-Za-z0-9_.-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?$/.test(host)) return 'no host';
  return undefined;
}

const URL_LENGTH_MAX = 2048;
