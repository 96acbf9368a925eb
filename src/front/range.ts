/** Conditional and range requests (RFC 9110, 13 and 14): the parts a GOPROXY's clients can use. */

/** Bytes `from` up to but without `to`. */
export type Span = { readonly from: number; readonly to: number };

/** Whether one of the entity tags in `If-None-Match` is `etag`; weak ones compare equal (RFC 9110, 13.1.2). */
export function matchesTag(ifNoneMatch: string, etag: string): boolean {
  if (ifNoneMatch.trim() === '*') return true;
  return ifNoneMatch.split(',').some((tag) => tag.trim().replace(/^W\//, '') === etag);
}

/**
 * The part of a body of `size` bytes that a `Range` header asks for.
 *
 * @returns undefined: answer whole, as for several ranges and malformed ones; 'unsatisfiable': 416
 */
export function parseRange(header: string, size: number): Span | 'unsatisfiable' | undefined {
  const match = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header.trim());
  if (match === null) return undefined;
  const [, first = '', last = ''] = match;
  if (first === '' && last === '') return undefined;
  if (first === '') {
    const length = Math.min(Number(last), size);
    return length === 0 ? 'unsatisfiable' : { from: size - length, to: size };
  }
  const from = Number(first);
  if (last !== '' && Number(last) < from) return undefined;
  if (from >= size) return 'unsatisfiable';
  return { from, to: last === '' ? size : Math.min(size, Number(last) + 1) };
}
