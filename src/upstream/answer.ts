/**
 * Reads what an HTTP answer's headers say about its file: pure functions on untrusted headers.
 *
 * Follows RFC 9110: sections 8.8 (validators), 13.1.5 (If-Range), 14.4 (Content-Range), 10.2.3 (Retry-After).
 */

import type { Validator } from '../core/ports.ts';
import type { Headers } from './exchange.ts';

/** One header's value; of several fields of one name the first. */
export function header(headers: Headers, name: string): string | undefined {
  const value = headers[name];
  return Array.isArray(value) ? value[0] : value;
}

export function validatorOf(headers: Headers): Validator {
  const etag = header(headers, 'etag');
  const lastModified = header(headers, 'last-modified');
  return {
    ...(isFieldText(etag) ? { etag } : {}),
    ...(isFieldText(lastModified) ? { lastModified } : {}),
  };
}

// It is stored and sent back later: short and printable, or not kept at all.
function isFieldText(value: string | undefined): value is string {
  return value !== undefined && /^[\x20-\x7e]{1,256}$/.test(value);
}

/** The value for `If-Range`: a strong ETag, else a date, else nothing. */
export function ifRange(validator: Validator): string | undefined {
  const { etag, lastModified } = validator;
  return isStrong(etag) ? etag : lastModified;
}

/** Whether both certainly name the same bytes. */
export function isSame(a: Validator, b: Validator): boolean {
  return isStrong(a.etag) && a.etag === b.etag;
}

/** Whether the two certainly differ. An ETag says more than a date: mirrors of one file differ in dates. */
export function isChanged(a: Validator, b: Validator): boolean {
  if (a.etag !== undefined && b.etag !== undefined) return a.etag !== b.etag;
  if (a.lastModified === undefined || b.lastModified === undefined) return false;
  return a.lastModified !== b.lastModified;
}

/** A strong ETag vouches for every byte; a weak one, like a date, does not. */
export function isStrong(etag: string | undefined): etag is string {
  return etag !== undefined && /^"[^"]*"$/.test(etag);
}

/** Content-Length in bytes; undefined if there is none, or none that can be true. */
export function contentLength(headers: Headers): number | undefined {
  const value = header(headers, 'content-length');
  return value !== undefined && /^\d{1,15}$/.test(value) ? Number(value) : undefined;
}

/** Whether a body shows where it ends. If not, it ends with its connection, and a broken one looks like a whole one. */
export function hasEnd(headers: Headers): boolean {
  const isChunked = /\bchunked\b/i.test(header(headers, 'transfer-encoding') ?? '');
  return isChunked || contentLength(headers) !== undefined;
}

/** `first` and `last` are undefined in a 416's `bytes * /size`; `size` where the upstream does not know it. */
export type ContentRange = {
  readonly first: number | undefined;
  readonly last: number | undefined;
  readonly size: number | undefined;
};

/** Reads Content-Range strictly: undefined for anything but one possible range. */
export function contentRange(headers: Headers): ContentRange | undefined {
  const value = header(headers, 'content-range') ?? '';
  const match = /^bytes (?:(\d{1,15})-(\d{1,15})|\*)\/(?:(\d{1,15})|\*)$/.exec(value);
  if (match === null) return undefined;
  const [first, last, size] = match.slice(1).map(toNumber);
  if (first !== undefined && last !== undefined) {
    if (last < first || (size !== undefined && last >= size)) return undefined;
  } else if (size === undefined) return undefined;
  return { first, last, size };
}

function toNumber(digits: string | undefined): number | undefined {
  return digits === undefined ? undefined : Number(digits);
}

/** Retry-After in ms; 0 if there is none or it is a date: a Pi's clock is not to be compared with. */
export function retryAfterMs(headers: Headers): number {
  const value = header(headers, 'retry-after');
  return value !== undefined && /^\d{1,6}$/.test(value) ? Number(value) * 1000 : 0;
}

/** The encoding of the body; undefined for none. */
export function contentEncoding(headers: Headers): string | undefined {
  const value = header(headers, 'content-encoding')?.trim().toLowerCase();
  return value === undefined || value === '' || value === 'identity' ? undefined : value;
}

/** The media type alone, in small letters; empty if there is none. */
export function mediaType(headers: Headers): string {
  return (header(headers, 'content-type') ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? '';
}

/** The media type of web pages. */
export const HTML = 'text/html';
