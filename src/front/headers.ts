/**
 * Header lines of answers, made in one piece.
 *
 * A call into uWebSockets costs more than the header it writes, so that all but the first name
 * ride in the value of the first, with line breaks between: nothing in them comes from a client.
 */

import type { Answer, FileKind, Origin, StoredFile, Visibility } from '../core/answer.ts';

/** The name the block's first value belongs to. */
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
} as const satisfies Record<FileKind, string>;

/** Their bytes never change. A lookup's record doesn't either, but a newer head goes out with it later. */
const FOREVER_KINDS: ReadonlySet<FileKind> = new Set(['info', 'mod', 'zip', 'tile']);
const FOREVER = 'public, max-age=31536000, immutable';
const NEVER = 'no-store';
/** Short: whoever caches between us and `go` must not make a release invisible for longer. */
const BRIEFLY = 'public, max-age=60';

/** An answer without the network may be another one than with it. */
const VARY = 'Vary: Disable-Module-Fetch';

/** No browser may take an answer for something else than its type says, such as a page. */
const NOSNIFF = 'X-Content-Type-Options: nosniff';

/** No cache between us and the client may give it to others. */
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
 * The block of an answer; `sha256` is in it as the ETag where the answer is stored.
 *
 * @param isStoring false: the disk is full, and what comes from outside is passed through
 */
export function answerHead(
  answer: Pick<Answer, 'kind' | 'status' | 'origin' | 'sha256' | 'isTentative'>,
  visibility: Visibility,
  isStoring = true,
): string {
  const { kind, status, origin, sha256, isTentative = false } = answer;
  const isForever = status === 200 && FOREVER_KINDS.has(kind) && !isTentative;
  // Made from what is stored here: the next answer may be the upstream's.
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

/** The block of an error, whose text `go` shows to its user. */
export function errorHead(): string {
  return ownHead(TEXT);
}

/** The block of what was made for one client. */
export function ownHead(type: string): string {
  return `${type}\r\n${NOSNIFF}\r\nCache-Control: ${NEVER}`;
}

export function etagOf(sha256: string): string {
  return `"${sha256}"`;
}
