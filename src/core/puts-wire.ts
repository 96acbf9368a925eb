/**
 * Many puts of small outputs in one request: their outputs and actions, each as a put of its own would bring them.
 *
 * `POST /cache/puts` with NAMESPACE_HEADER needs the right to put. Its body has for each put
 *
 *     action ID 32, output ID 32, time 8, size 6, packed 1, length of the body 4, length of the note 2, note, body
 *
 * Numbers are little-endian. `packed` 1: the body is packed as a packed PUT is (`core/build-cache-wire.ts`). The answer has a
 * byte for each put, in their order: PUT_OUTCOME. One that is refused hinders no other.
 */

import { isSignature } from './build-cache-wire.ts';

export const PUTS_PATH = '/cache/puts';

/** Bytes of one request. At half, a cold build has twice the round trips; at double, eight clients that put at once hold 16 MiB. */
export const PUTS_BYTES_MAX = 1024 * 1024;

/** Puts of one request. At half, a cold build over a long line has twice the round trips; at double, their buffers take 128 MiB. */
export const PUTS_MAX = 256;

/** An output that has more goes by itself: here it is wrong. */
export const PUTS_OUTPUT_BYTES_MAX = 128 * 1024;

export const PUT_OUTCOME = {
  /** It is stored. */
  stored: 0,
  /** The action has another output, which stays. */
  refused: 1,
  /** The body is not the output, or the output is too large. */
  wrong: 2,
} as const;

export type PutRecord = {
  readonly actionId: string;
  readonly outputId: string;
  /** Unix ns, decimal. */
  readonly time: string;
  /** Of the output. */
  readonly size: number;
  readonly isPacked: boolean;
  /** A signature. */
  readonly note: string | undefined;
  readonly body: Uint8Array;
};

const HEAD_BYTES = 32 + 32 + 8 + 6 + 1 + 4 + 2;

export function encodePut({ actionId, outputId, time, size, isPacked, note = '', body }: PutRecord): Buffer {
  const head = Buffer.alloc(HEAD_BYTES);
  head.write(actionId, 0, 'hex');
  head.write(outputId, 32, 'hex');
  head.writeBigUInt64LE(BigInt(time), 64);
  head.writeUIntLE(size, 72, 6);
  head.writeUInt8(isPacked ? 1 : 0, 78);
  head.writeUInt32LE(body.byteLength, 79);
  head.writeUInt16LE(note.length, 83);
  return Buffer.concat([head, Buffer.from(note, 'latin1'), body]);
}

/** The bodies are parts of `bytes`. @throws {Error} no such request */
export function decodePuts(bytes: Buffer): PutRecord[] {
  const puts: PutRecord[] = [];
  for (let at = 0; at < bytes.length; ) {
    if (puts.length === PUTS_MAX) throw new Error(`over ${PUTS_MAX} of them`);
    if (at + HEAD_BYTES > bytes.length) throw new Error('a put is cut');
    const noteAt = at + HEAD_BYTES;
    const bodyAt = noteAt + bytes.readUInt16LE(at + 83);
    const end = bodyAt + bytes.readUInt32LE(at + 79);
    if (end > bytes.length) throw new Error('a put is cut');
    const note = noteAt === bodyAt ? undefined : bytes.toString('latin1', noteAt, bodyAt);
    if (note !== undefined && !isSignature(note)) throw new Error('not a signature');
    puts.push({
      actionId: bytes.toString('hex', at, at + 32),
      outputId: bytes.toString('hex', at + 32, at + 64),
      time: bytes.readBigUInt64LE(at + 64).toString(),
      size: bytes.readUIntLE(at + 72, 6),
      isPacked: bytes.readUInt8(at + 78) === 1,
      note,
      body: bytes.subarray(bodyAt, end),
    });
    at = end;
  }
  return puts;
}
