/**
 * Chooses the HTTP proxy for a URL, by HTTP_PROXY, HTTPS_PROXY and NO_PROXY.
 *
 * Follows golang.org/x/net/http/httpproxy in the version that the `go` command has. Stricter in one thing: Go goes
 * directly where a proxy's URL is malformed, here that is refused.
 */

import { BadRequest } from '../core/errors.ts';
import { isWithin, LOOPBACK, type Network, networkOf, parseIp, plainIp } from '../core/network.ts';
import { quote } from '../core/quote.ts';
import { withoutUserinfo } from './redact.ts';
import type { ProxyEnv } from './settings.ts';

/** The server of a URL. `ip` is undefined for a name; `port` is never empty. */
type Target = { readonly host: string; readonly ip: Uint8Array | undefined; readonly port: string };

/** One entry of NO_PROXY. */
type Exception = (target: Target) => boolean;

export class HttpProxies {
  readonly #http: string | undefined;
  readonly #https: string | undefined;
  readonly #isCgi: boolean;
  readonly #exceptions: readonly Exception[];

  /** @throws {BadRequest} a proxy that is no http, https or socks5 URL */
  constructor({ httpProxy, httpsProxy, noProxy = '', isCgi = false }: ProxyEnv) {
    this.#http = proxyUrl('HTTP_PROXY', httpProxy);
    this.#https = proxyUrl('HTTPS_PROXY', httpsProxy);
    this.#isCgi = isCgi;
    this.#exceptions = noProxy.split(',').flatMap(parseException);
  }

  /** The proxies' URLs, each once. */
  get all(): readonly string[] {
    return [...new Set([this.#http, this.#https])].filter((proxy) => proxy !== undefined);
  }

  /** The URL of the proxy for `url`; undefined: it is asked directly. */
  of(url: URL): string | undefined {
    const proxy = url.protocol === 'https:' ? this.#https : this.#http;
    if (proxy === undefined || isDirect(targetOf(url), this.#exceptions)) return undefined;
    return proxy;
  }

  /**
   * Redirects never lead from https to http, so the URLs of a list are all that must be checked.
   *
   * @throws {BadRequest} in a CGI program a client may have set HTTP_PROXY, by a header called "Proxy"
   */
  check(url: URL): void {
    if (!this.#isCgi || this.#http === undefined || url.protocol !== 'http:') return;
    throw new BadRequest(
      'cannot use HTTP_PROXY where REQUEST_METHOD is set, as in a CGI program: unset one of them',
    );
  }
}

function proxyUrl(name: string, value = ''): string | undefined {
  if (value === '') return undefined;
  // A SOCKS5 proxy looks names up itself under either name, as in Go's net/http.
  const full = (value.includes('://') ? value : `http://${value}`).replace(/^socks5h:/i, 'socks5:');
  const url = URL.parse(full);
  if (url === null || !/^(https?|socks5):$/.test(url.protocol)) {
    throw new BadRequest(`cannot read ${name}: not a proxy URL: ${quote(withoutUserinfo(full))}`);
  }
  return full;
}

function targetOf({ hostname, port, protocol }: URL): Target {
  const host = hostname.replace(/^\[(.*)\]$/, '$1');
  const ip = parseIp(host);
  return {
    host,
    ip: ip === undefined ? undefined : plainIp(ip),
    port: port !== '' ? port : protocol === 'https:' ? '443' : '80',
  };
}

/** This machine is always reached directly, even if NO_PROXY does not name it. */
function isDirect(target: Target, exceptions: readonly Exception[]): boolean {
  if (target.host === 'localhost') return true;
  if (target.ip !== undefined && isWithin(LOOPBACK, target.ip)) return true;
  return exceptions.some((matches) => matches(target));
}

/** An entry that makes no sense is skipped, as in Go. */
function parseException(entry: string): Exception[] {
  const text = entry.trim().toLowerCase();
  if (text === '*') return [() => true];
  const network = parseCidr(text);
  if (network !== undefined) return [({ ip }) => ip !== undefined && isWithin([network], ip)];
  const { host, port } = splitPort(text);
  if (host === '') return [];
  const isPort = (target: Target): boolean => port === '' || port === target.port;
  const bytes = parseIp(host);
  if (bytes === undefined) {
    const isName = namesIn(host);
    return [(target) => target.ip === undefined && isName(target.host) && isPort(target)];
  }
  const itself = networkOf(bytes, bytes.byteLength * 8);
  return [(target) => target.ip !== undefined && isWithin([itself], target.ip) && isPort(target)];
}

/** `example.com` stands for itself and all names below it; `.example.com` and `*.example.com` for the names below it. */
function namesIn(domain: string): (host: string) => boolean {
  const name = ascii(domain.replace(/^\*\./, '.'));
  if (name.startsWith('.')) return (host) => host.endsWith(name);
  return (host) => host === name || host.endsWith(`.${name}`);
}

// A URL's host comes in ASCII.
function ascii(domain: string): string {
  const dot = domain.startsWith('.') ? '.' : '';
  const host = URL.parse(`http://${domain.slice(dot.length)}`)?.hostname;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: all of ASCII is meant
  return /^[\x00-\x7f]*$/.test(domain) || host === undefined ? domain : dot + host;
}

/** Bits behind the prefix are let pass. */
function parseCidr(text: string): Network | undefined {
  const [, name = '', digits = ''] = /^([^/]*)\/([0-9]{1,3})$/.exec(text) ?? [];
  const bytes = parseIp(name);
  const bits = Number(digits);
  if (bytes === undefined || bits > bytes.byteLength * 8) return undefined;
  return networkOf(bytes, bits);
}

/** As Go's net.SplitHostPort. A text that it refuses counts as a host without a port. */
function splitPort(text: string): { readonly host: string; readonly port: string } {
  const match = /^(?:\[([^[\]]*)\]|([^:[\]]*)):([^:[\]]*)$/.exec(text);
  if (match === null) return { host: text, port: '' };
  return { host: match[1] ?? match[2] ?? '', port: match[3] ?? '' };
}
