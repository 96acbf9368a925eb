/** A body in one piece, within a bound. */

/** All of it; undefined where it is longer than `bytesMax`: then no more of it is read. @throws what `pieces` throws */
export async function collect(
  pieces: AsyncIterable<Uint8Array>,
  bytesMax: number,
): Promise<Buffer | undefined> {
  const taken: Uint8Array[] = [];
  let left = bytesMax;
  for await (const piece of pieces) {
    left -= piece.byteLength;
    if (left < 0) return undefined;
    taken.push(piece);
  }
  return Buffer.concat(taken);
}
