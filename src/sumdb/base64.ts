/**
 * Standard base64 as Go's `encoding/base64` reads it: padded, nothing skipped, not URL-safe.
 *
 * Node's own decoder accepts any text. Go's client would refuse some of these notes and hashes, so Astera must too.
 */

/** The bytes; `undefined` if Go's StdEncoding would refuse `text`. As in Go, spare bits at the end may be set. */
export function decodeBase64(text: string): Buffer | undefined {
  if (text.length % 4 !== 0 || !BASE64.test(text)) return undefined;
  return Buffer.from(text, 'base64');
}

const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;
