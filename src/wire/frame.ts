/**
 * Frames: a batch of messages as one msgpackr buffer, with its blobs moved beside it.
 *
 * A message may carry one blob, in its field `bytes`. Up to FRAME_VALUE_BYTES_MAX
 * it rides in the frame; a larger one is moved as an ArrayBuffer of its own and
 * stands in the frame as its index. Packing hands the blobs away: the sender must
 * not read them again.
 */

import { FRAME_VALUE_BYTES_MAX } from '../core/limits.ts';
import { Packr, Unpackr } from './msgpackr.ts';

/** What is posted to a thread: both members are moved. */
export type Frame = { readonly packed: Uint8Array; readonly blobs: ArrayBuffer[] };

type Carrier = { bytes?: Uint8Array | number };

const packr = new Packr({ useRecords: true, encodeUndefinedAsNil: false });
const unpackr = new Unpackr({ useRecords: true });

/**
 * Packs `messages`; `carrierOf` names the object of each that may hold `bytes`.
 * Changes the carriers: a moved blob's field becomes its index.
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
  // pack() hands out a view of a pool it goes on using, which must not be moved: copy it out.
  return { packed: new Uint8Array(packr.pack(messages)), blobs };
}

/** The inverse of {@link packFrame}. Every blob that comes out has an ArrayBuffer of its own. */
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
      // Copied, so that one small value does not keep the frame of its whole batch.
      carrier.bytes = new Uint8Array(bytes);
    }
  }
  return messages;
}

/** The buffers to move along with a frame. */
export function transferListOf(frame: Frame): ArrayBuffer[] {
  return [frame.packed.buffer as ArrayBuffer, ...frame.blobs];
}

/** The ArrayBuffer that holds exactly `bytes`: the one below it, or a copy where that is shared. */
function ownBuffer(bytes: Uint8Array): ArrayBuffer {
  const { buffer } = bytes;
  if (buffer instanceof ArrayBuffer && buffer.byteLength === bytes.byteLength) return buffer;
  return new Uint8Array(bytes).buffer;
}
