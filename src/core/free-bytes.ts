/**
 * Gives the memory of bytes back at once. V8 does not see it behind their small objects, and lets some 64 MiB gather in each
 * thread before it collects them.
 *
 * @param bytes that nobody reads any more; those in a larger buffer stay, as that may have others in it
 */
export function freeBytes({ byteLength, buffer }: Uint8Array): void {
  // An empty one may be a constant.
  if (byteLength > 0 && buffer instanceof ArrayBuffer && byteLength === buffer.byteLength) buffer.transfer(0);
}
