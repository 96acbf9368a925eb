/**
 * Paths on their way out: checked once more, and percent-encoded as the `go` command does it
 * (pathEscape in cmd/go/internal/modfetch/proxy.go, which is url.PathEscape but for the slashes).
 */

import { BadRequest } from '../core/errors.ts';
import { quote } from '../core/quote.ts';

// The characters that url.PathEscape leaves as they are. Nearly every path has no others but "!".
const PLAIN = /^[A-Za-z0-9\-_.~$&+=:@/]*$/;

// The characters that encodeURIComponent leaves but PathEscape encodes, and the other way round.
const ENCODE_TOO = /[!'()*]/g;
const DECODE_AGAIN = /%(?:24|26|2B|3D|3A|40)/g;

/** `github.com/!azure/x` as it goes over the wire: `github.com/%21azure/x`. Call after {@link checkPath}. */
export function encodePath(path: string): string {
  if (PLAIN.test(path)) return path;
  return path.split('/').map(encodeElement).join('/');
}

function encodeElement(element: string): string {
  return encodeURIComponent(element)
    .replace(ENCODE_TOO, (letter) => `%${letter.charCodeAt(0).toString(16).toUpperCase()}`)
    .replace(DECODE_AGAIN, decodeURIComponent);
}

/**
 * The caller has parsed the path already; this keeps a slip there from reaching above a root.
 *
 * @throws {BadRequest} empty, absolute, with an empty or dotted element, a backslash, a NUL, or a lone surrogate
 */
export function checkPath(path: string): void {
  const isBad =
    path === '' ||
    path.includes('\\') ||
    path.includes('\0') ||
    !path.isWellFormed() ||
    path.split('/').some((element) => element === '' || element === '.' || element === '..');
  if (isBad) throw new BadRequest(`cannot fetch: not a path below a proxy: ${quote(path)}`);
}
