/**
 * Standard base64 as Go's `encoding/base64` reads it: padded, nothing skipped, not URL-safe.
 *
 * Node's own decoder takes anything; a note or a hash must not be readable in two ways
 * that Go's client would tell apart.
 */

/** The bytes, or `undefined` where Go's StdEncoding would refuse. Spare bits at the end may be set, as there. */
export function decodeBase64(text: string): Buffer | undefined {
  if (text.length % 4 !== 0 || !BASE64.test(text)) return undefined;
  return Buffer.from(text, 'base64');
}

const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;
