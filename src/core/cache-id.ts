/**
 * Action and output IDs of Go's build cache: 32 bytes, as 64 lower-case hex digits. An output ID is a SHA-256.
 * With them go an action's time and, on a shared server, its namespace.
 */

import { NAMESPACE_LENGTH_MAX } from './limits.ts';

/** Whether this is an ID, as written in paths, headers and file names. */
export function isCacheId(text: unknown): text is string {
  return typeof text === 'string' && CACHE_ID.test(text);
}

/** The SHA-256 of nothing: the ID of an empty output, and what the signature of a request without a body has. */
export const NO_BODY = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

const CACHE_ID = /^[0-9a-f]{64}$/;

/** Whether this is an action's time as it stands in headers and action files: Unix nanoseconds, decimal. */
export function isCacheTime(text: unknown): text is string {
  return typeof text === 'string' && CACHE_TIME.test(text);
}

const CACHE_TIME = /^[0-9]{1,19}$/;

/** Whether this names a namespace: letters, digits, `.`, `_`, `-` and `/`, at most NAMESPACE_LENGTH_MAX of them. */
export function isNamespace(text: unknown): text is string {
  return typeof text === 'string' && text.length <= NAMESPACE_LENGTH_MAX && NAMESPACE.test(text);
}

const NAMESPACE = /^[A-Za-z0-9._/-]+$/;

/** The name of the namespace of all who name none: they read it, and all others behind their own. */
export const MAIN_NAMESPACE = 'main';

/** The same, as the store has it. */
export const STORED_MAIN = '';
