/**
 * Frames: a batch of messages as one msgpackr buffer. Large byte fields are moved beside it.
 *
 * A message may carry one byte array in its field `bytes`. Up to FRAME_VALUE_BYTES_MAX it is part of the frame. A
 * larger one is moved as an ArrayBuffer of its own, and the frame holds its index. After packing, the sender must not
 * read the moved bytes again.
 */

import { FRAME_VALUE_BYTES_MAX } from './limits.ts';
import { Packr, Unpackr } from './msgpackr.ts';

/** The value that is posted to a thread. Both members are moved. */
export type Frame = { readonly packed: Uint8Array; readonly blobs: ArrayBuffer[] };

type Carrier = { bytes?: Uint8Array | number };

const packr = new Packr({ useRecords: true, encodeUndefinedAsNil: false });
const unpackr = new Unpackr({ useRecords: true });

/**
 * Packs `messages`. `carrierOf` returns the object of a message that may hold `bytes`. The carriers are changed: the
 * field of moved bytes becomes their index.
 */
export function packFrame<M>(messages: readonly M[], carrierOf: (message: M) => object | undefined): Frame {
  const blobs: ArrayBuffer[] = [];
  for (const message of messages) {
    const carrier = carrierOf(message) as Carrier | undefined;
    const bytes = carrier?.bytes;
    if (carrier === undefined || !(bytes instanceof Uint8Array)) continue;
    if (bytes.byteLength <= FRAME_VALUE_BYTES_MAX) continue;
    carrier.bytes = blobs.length;
    blobs.push(ownBuffer(bytes));
  }
  // pack() returns a view of a pool that msgpackr uses again. The pool must not be moved, so the view is copied.
  return { packed: new Uint8Array(packr.pack(messages)), blobs };
}

/** The inverse of {@link packFrame}. Each `bytes` field has an ArrayBuffer of its own. */
export function unpackFrame<M>(frame: Frame, carrierOf: (message: M) => object | undefined): M[] {
  const messages = unpackr.unpack(frame.packed) as M[];
  for (const message of messages) {
    const carrier = carrierOf(message) as Carrier | undefined;
    const bytes = carrier?.bytes;
    if (carrier === undefined || bytes === undefined) continue;
    if (typeof bytes === 'number') {
      const blob = frame.blobs[bytes];
      if (blob === undefined) throw new Error(`cannot unpack frame: no blob ${bytes}`);
      carrier.bytes = new Uint8Array(blob);
    } else {
      // A copy, so that one small value does not keep the whole frame alive.
      carrier.bytes = new Uint8Array(bytes);
    }
  }
  return messages;
}

/** The buffers to move along with a frame. */
export function transferListOf(frame: Frame): ArrayBuffer[] {
  return [frame.packed.buffer as ArrayBuffer, ...frame.blobs];
}

/** An ArrayBuffer that holds exactly `bytes`: its own buffer, or a copy if that buffer holds more. */
function ownBuffer(bytes: Uint8Array): ArrayBuffer {
  const { buffer } = bytes;
  if (buffer instanceof ArrayBuffer && buffer.byteLength === bytes.byteLength) return buffer;
  return new Uint8Array(bytes).buffer;
}
