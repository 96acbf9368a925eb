/**
 * Reads a GOPROXY list into its members and their separators.
 *
 * Follows proxyList and newProxyRepo of cmd/go/internal/modfetch/proxy.go: separators, trimming,
 * the missing scheme, the end at `off` and `direct`. Stricter where Go fails only at the first
 * request: a URL without a host is refused here.
 */

import { fileURLToPath } from 'node:url';
import { BadRequest } from '../core/errors.ts';
import { quote } from '../core/quote.ts';
import { withoutUserinfo } from './redact.ts';

/** `fallsBack`: any error leads to the next member (`|`), not only a 404 or 410 (`,` or the end). */
export type ListMember =
  | { readonly kind: 'http'; readonly url: URL; readonly fallsBack: boolean }
  | { readonly kind: 'file'; readonly root: string; readonly fallsBack: boolean }
  | { readonly kind: 'off' | 'direct' };

/**
 * @returns at least one member; `off` or `direct` only as the last. `noproxy`, which Go only makes
 * itself, ends the list like `direct`
 * @throws {BadRequest} an empty list, or a member that is not an http, https or file URL
 */
export function parseProxyList(list: string): readonly ListMember[] {
  const members: ListMember[] = [];
  for (const [, raw = '', separator] of list.matchAll(/([^,|]*)([,|]|$)/g)) {
    const text = raw.trim();
    if (text === '') continue;
    if (text === 'off' || text === 'direct' || text === 'noproxy') {
      members.push({ kind: text === 'off' ? 'off' : 'direct' });
      return members;
    }
    members.push(parseMember(text, separator === '|'));
  }
  if (members.length === 0) throw new BadRequest('cannot read upstream list: it has no entries');
  return members;
}

function parseMember(text: string, fallsBack: boolean): ListMember {
  const full = withScheme(text);
  if (/^file:/i.test(full)) return { kind: 'file', root: fileRoot(full), fallsBack };
  if (!/^https?:\/\/[^/?#\\\s]+[^\\\s]*$/i.test(full)) refuse(full, whyNot(full));
  const url = URL.parse(full);
  if (url === null) return refuse(full, 'not a URL');
  if (!canDecode(url.username) || !canDecode(url.password)) refuse(full, 'userinfo is not percent-encoded');
  return { kind: 'http', url, fallsBack };
}

// Single words are kept for Go's own meanings. Text that looks like a path or URL is left as it is.
function withScheme(text: string): string {
  const isPlainHost = /[.:/]/.test(text) && !text.includes(':/') && !text.startsWith('/');
  return isPlainHost ? `https://${text}` : text;
}

function fileRoot(text: string): string {
  if (!/^file:\/\/\/[^?#]*$/i.test(text)) return refuse(text, 'a file URL is file:// and an absolute path');
  try {
    return fileURLToPath(text);
  } catch {
    return refuse(text, 'a file URL is file:// and an absolute path');
  }
}

function whyNot(text: string): string {
  if (!/^[a-z][a-z0-9+.-]*:/i.test(text)) {
    return text.startsWith('/') ? 'a directory is written as a file:// URL' : 'missing scheme';
  }
  return /^https?:/i.test(text) ? 'no host' : 'scheme must be https, http or file';
}

function canDecode(text: string): boolean {
  try {
    return decodeURIComponent(text) !== undefined;
  } catch {
    return false;
  }
}

function refuse(text: string, why: string): never {
  throw new BadRequest(`cannot read upstream list: ${why}: ${quote(withoutUserinfo(text))}`);
}
