// Goal: frames round-trip. Large values are moved and small ones copied, and no memory is shared.
// Method: fast-check round trips over batches of messages, and real ports for moved values.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MessageChannel, receiveMessageOnPort } from 'node:worker_threads';
import fc from 'fast-check';
import { type Frame, packFrame, transferListOf, unpackFrame } from '../../src/wire/frame.ts';
import { FRAME_VALUE_BYTES_MAX } from '../../src/wire/limits.ts';

type Message = { call: string; args: { bytes?: Uint8Array; [name: string]: unknown } };

const carrierOf = (message: Message) => message.args;

function messageOf(size: number, fill = 7): Message {
  return { call: 'putChunk', args: { blob: 1, seq: 2, bytes: new Uint8Array(size).fill(fill) } };
}

const value = fc.oneof(
  fc.string(),
  fc.boolean(),
  fc.integer(),
  fc.maxSafeInteger(),
  // msgpack writes -0 as the integer 0. None of our messages needs the difference.
  fc.double({ noNaN: true }).map((number) => (number === 0 ? 0 : number)),
  fc.array(fc.string()),
  fc.record({ version: fc.string(), hasInfo: fc.boolean() }),
  fc.constant(undefined),
);

const bytes = fc.oneof(
  fc.uint8Array({ maxLength: 64 }),
  fc.integer({ min: -2, max: 2 }).map((d) => new Uint8Array(FRAME_VALUE_BYTES_MAX + d).fill(d + 3)),
);

const message: fc.Arbitrary<Message> = fc
  .tuple(
    fc.string(),
    fc.dictionary(
      fc.string().filter((name) => name !== 'bytes' && name !== '__proto__'),
      value,
      { noNullPrototype: true },
    ),
    fc.option(bytes, { nil: undefined }),
  )
  .map(([call, args, blob]) => ({ call, args: blob === undefined ? args : { ...args, bytes: blob } }));

test('any batch round-trips, and each blob gets a buffer of its own', () => {
  fc.assert(
    fc.property(fc.array(message, { maxLength: 8 }), (messages) => {
      const expected = structuredClone(messages);
      const frame = packFrame(messages, carrierOf);
      const out = unpackFrame<Message>(frame, carrierOf);
      assert.deepEqual(out, expected);
      const buffers = out.flatMap(({ args }) => args.bytes?.buffer ?? []);
      assert.equal(new Set(buffers).size, buffers.length, 'two blobs share memory');
      assert.ok(!buffers.includes(frame.packed.buffer as ArrayBuffer), 'a blob pins its frame');
    }),
  );
});

const sizes: { size: number; moved: boolean; why: string }[] = [
  { size: 0, moved: false, why: 'an empty value rides inside' },
  { size: FRAME_VALUE_BYTES_MAX, moved: false, why: 'the largest that rides inside' },
  { size: FRAME_VALUE_BYTES_MAX + 1, moved: true, why: 'the smallest that is moved' },
  { size: 1024 * 1024, moved: true, why: 'a large one is moved' },
];

for (const { size, moved, why } of sizes) {
  test(`packFrame: ${why}`, () => {
    const frame = packFrame([messageOf(size)], carrierOf);
    assert.equal(frame.blobs.length, moved ? 1 : 0);
    assert.ok(frame.packed.byteLength < 200 + (moved ? 0 : size));
    const [out] = unpackFrame<Message>(frame, carrierOf);
    assert.deepEqual(out, messageOf(size));
  });
}

test('a large value that fills its buffer is moved; one that shares its buffer is copied', () => {
  const owned = messageOf(10_000);
  const pool = new Uint8Array(30_000).fill(7);
  const shared: Message = { call: 'putChunk', args: { bytes: pool.subarray(5_000, 15_000) } };
  const [own, part] = [owned.args.bytes?.buffer, shared.args.bytes?.buffer];
  const { blobs } = packFrame([owned, shared], carrierOf);
  assert.equal(blobs[0], own);
  assert.notEqual(blobs[1], part);
  assert.equal(blobs[1]?.byteLength, 10_000);
});

test('two packs in a row do not share memory: after a move of the first the second is intact', () => {
  const first = packFrame([messageOf(100, 1)], carrierOf);
  const second = packFrame([messageOf(100, 2)], carrierOf);
  assert.notEqual(first.packed.buffer, second.packed.buffer);
  assert.equal(first.packed.byteLength, first.packed.buffer.byteLength, 'all of the buffer is the frame');
  const { port1, port2 } = new MessageChannel();
  port1.postMessage(first, transferListOf(first));
  port1.close();
  port2.close();
  assert.equal(first.packed.byteLength, 0);
  assert.deepEqual(unpackFrame<Message>(second, carrierOf), [messageOf(100, 2)]);
});

test('a posted frame is detached in the sender and whole at the other end', () => {
  const sent = [messageOf(3), messageOf(20_000), messageOf(30_000)];
  const large = sent[1]?.args.bytes;
  const frame = packFrame(sent, carrierOf);
  const { port1, port2 } = new MessageChannel();
  port1.postMessage(frame, transferListOf(frame));
  assert.equal(large?.byteLength, 0, 'the blob was moved, not copied');
  assert.deepEqual(
    frame.blobs.map((blob) => blob.byteLength),
    [0, 0],
  );
  const received = receiveMessageOnPort(port2)?.message as Frame;
  assert.deepEqual(unpackFrame<Message>(received, carrierOf), [
    messageOf(3),
    messageOf(20_000),
    messageOf(30_000),
  ]);
  port1.close();
  port2.close();
});

test('a message without a carrier is packed as it is', () => {
  const failure = { ok: false, kind: 'store-failed', message: 'cannot read store' };
  const frame = packFrame([failure], () => undefined);
  assert.deepEqual(
    unpackFrame(frame, () => undefined),
    [failure],
  );
});

test('an index without a blob is refused', () => {
  const { packed } = packFrame([messageOf(10_000)], carrierOf);
  assert.throws(() => unpackFrame<Message>({ packed, blobs: [] }, carrierOf), /no blob 0/);
});
