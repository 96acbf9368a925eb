/** Action and output IDs of Go's build cache: 32 bytes, as 64 lower-case hex digits. An output ID is a SHA-256. */

/** Whether this is an ID, as written in paths, headers and file names. */
export function isCacheId(text: unknown): text is string {
  return typeof text === 'string' && CACHE_ID.test(text);
}

const CACHE_ID = /^[0-9a-f]{64}$/;
