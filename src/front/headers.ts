/**
 * Header lines of answers, made in one piece.
 *
 * A call into uWebSockets costs more than the header that it writes. So the first header's value holds all other lines,
 * with line breaks between. Nothing in them comes from a client.
 */

import type { Answer, FileKind, Origin, StoredFile, Visibility } from '../core/answer.ts';

/** The name of the block's first header. */
export const FIRST_HEADER = 'Content-Type';

const TEXT = 'text/plain; charset=utf-8';
const JSON_TYPE = 'application/json';

const contentTypes = {
  list: TEXT,
  latest: JSON_TYPE,
  info: JSON_TYPE,
  query: JSON_TYPE,
  mod: TEXT,
  zip: 'application/zip',
  supported: TEXT,
  head: TEXT,
  lookup: TEXT,
  tile: 'application/octet-stream',
  output: 'application/octet-stream',
  program: 'text/javascript; charset=utf-8',
  vuln: JSON_TYPE,
  'packed-vuln': 'application/gzip',
} as const satisfies Record<FileKind, string>;

/** Their bytes never change. A lookup's record doesn't either, but a newer head goes out with it later. */
const FOREVER_KINDS: ReadonlySet<FileKind> = new Set(['info', 'mod', 'zip', 'tile']);
const FOREVER = 'public, max-age=31536000, immutable';
const NEVER = 'no-store';
/** Short: a cache between us and `go` must not hide a release for longer. */
const BRIEFLY = 'public, max-age=60';

/** An answer without the network may be another one than with it. */
const VARY = 'Vary: Disable-Module-Fetch';

/** A browser must take an answer for the type that it has, and not for a page. */
const NOSNIFF = 'X-Content-Type-Options: nosniff';

/** A cache between us and the client must not give it to others. */
const PRIVATE = 'private, no-store';

const cacheStatus = {
  memory: 'astera; hit; detail=memory',
  store: 'astera; hit; detail=store',
  upstream: 'astera; fwd=miss; stored; detail=upstream',
  git: 'astera; fwd=miss; stored; detail=git',
  bucket: 'astera; fwd=miss; stored; detail=bucket',
  stale: 'astera; fwd=stale; detail=store',
  computed: 'astera; fwd=stale; detail=computed',
} as const satisfies Record<Origin, string>;

export const statusLine: Readonly<Record<number, string>> = {
  200: '200 OK',
  206: '206 Partial Content',
  304: '304 Not Modified',
  400: '400 Bad Request',
  401: '401 Unauthorized',
  403: '403 Forbidden',
  404: '404 Not Found',
  405: '405 Method Not Allowed',
  409: '409 Conflict',
  410: '410 Gone',
  413: '413 Content Too Large',
  416: '416 Range Not Satisfiable',
  421: '421 Misdirected Request',
  500: '500 Internal Server Error',
  502: '502 Bad Gateway',
  503: '503 Service Unavailable',
  504: '504 Gateway Timeout',
  508: '508 Loop Detected',
};

/**
 * The block of an answer. If the answer is stored, `sha256` is its ETag.
 *
 * @param isStoring false: the disk is full, and files from outside are passed through
 */
export function answerHead(
  answer: Pick<Answer, 'kind' | 'status' | 'origin' | 'sha256' | 'isTentative'>,
  visibility: Visibility,
  isStoring = true,
): string {
  const { kind, status, origin, sha256, isTentative = false } = answer;
  const isForever = status === 200 && FOREVER_KINDS.has(kind) && !isTentative;
  // Made from stored files: the next answer may be the upstream's.
  const briefly = origin === 'computed' ? NEVER : BRIEFLY;
  const publicly = isForever ? FOREVER : briefly;
  const cached = cacheStatus[origin];
  const lines = [
    status === 200 ? contentTypes[kind] : TEXT,
    NOSNIFF,
    `Cache-Control: ${visibility === 'private' ? PRIVATE : publicly}`,
    `Cache-Status: ${isStoring ? cached : cached.replace(' stored;', '')}`,
  ];
  if (!isForever) lines.push(VARY);
  if (sha256 && status === 200) lines.push(`ETag: ${etagOf(sha256)}`, 'Accept-Ranges: bytes');
  return lines.join('\r\n');
}

/** The block of a file that is served from memory, remembered with it. */
export function hotHead(file: StoredFile): string {
  const { kind, status, sha256, visibility, isTentative } = file;
  file.headers ??= answerHead({ kind, status, origin: 'memory', sha256, isTentative }, visibility);
  return file.headers;
}

/** The block of an error. `go` shows its text to the user. */
export function errorHead(): string {
  return ownHead(TEXT);
}

/** The block of an answer that was made for one client. */
export function ownHead(type: string): string {
  return `${type}\r\n${NOSNIFF}\r\nCache-Control: ${NEVER}`;
}

/** A file of the status page, held as a whole. */
export type PageFile = {
  readonly type: string;
  readonly body: Uint8Array;
  /** Of the body, in hex. */
  readonly sha256: string;
};

/**
 * The block of a page's file. Nothing but our own files may run or be shown in the page, and no other page may hold it.
 * Its address may have a token, which no other server must hear of.
 */
export function pageHead({ type, sha256 }: PageFile): string {
  return [
    type,
    NOSNIFF,
    'Cache-Control: no-cache',
    'Vary: Accept',
    `ETag: ${etagOf(sha256)}`,
    `Content-Security-Policy: ${PAGE_POLICY}`,
    'Referrer-Policy: no-referrer',
  ].join('\r\n');
}

const PAGE_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

export function etagOf(sha256: string): string {
  return `"${sha256}"`;
}
