// Goal: whatever the pieces in which the `go` command's requests come, they and their bodies are read as written.
// Method: made-up requests in the form of cmd/go/internal/cache/prog.go, cut at random places.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type CacheRequest, RequestReader } from '../../src/plugin/request-reader.ts';

function readAll(pieces: readonly Buffer[]) {
  const read: { request: CacheRequest; body: Buffer; isWhole: boolean }[] = [];
  const reader = new RequestReader({
    onRequest: (request) => read.push({ request, body: Buffer.alloc(0), isWhole: false }),
    onBody: (bytes) => {
      const last = read.at(-1);
      if (last !== undefined) last.body = Buffer.concat([last.body, bytes]);
    },
    onBodyEnd: () => {
      const last = read.at(-1);
      if (last !== undefined) last.isWhole = true;
    },
  });
  for (const piece of pieces) reader.push(piece);
  return read;
}

function asGoWrites(id: number, body: Uint8Array): string {
  const request = {
    ID: id,
    Command: 'put',
    ActionID: 'AQI=',
    OutputID: 'AwQ=',
    BodySize: body.length || undefined,
  };
  const line = body.length > 0 ? `"${Buffer.from(body).toString('base64')}"\n` : '';
  return `${JSON.stringify(request)}\n\n${line}`;
}

test('bodies come out as they went in, cut anywhere', () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 5 }),
      fc.infiniteStream(fc.integer({ min: 1, max: 100 })),
      (bodies, sizes) => {
        const input = Buffer.from(bodies.map((body, index) => asGoWrites(index, body)).join(''));
        const pieces: Buffer[] = [];
        for (let at = 0; at < input.length; ) {
          const size = sizes.next().value ?? 1;
          pieces.push(input.subarray(at, at + size));
          at += size;
        }
        const read = readAll(pieces);
        assert.deepEqual(
          read.map(({ body }) => [...body]),
          bodies.map((body) => [...body]),
        );
        assert.ok(read.every(({ isWhole, request }, index) => isWhole && request.id === index));
      },
    ),
  );
});

test('toolchains before 1.24 say ObjectID', () => {
  const [first] = readAll([Buffer.from('{"ID":1,"Command":"put","ActionID":"AQI=","ObjectID":"AwQ="}\n')]);
  assert.equal(first?.request.outputId, '0304');
  assert.equal(first?.request.actionId, '0102');
});

for (const { input, why } of [
  { input: 'hello\n', why: 'no JSON' },
  { input: '[]\n', why: 'no request' },
  { input: '{"ID":1,"Command":"put","BodySize":-1}\n', why: 'a size below zero' },
  { input: '{"ID":1,"Command":"put","BodySize":3}\n{"ID":2}', why: 'no body where one was announced' },
  { input: 'x'.repeat(70_000), why: 'a line without end' },
]) {
  test(`refused: ${why}`, () => {
    assert.throws(() => readAll([Buffer.from(input)]));
  });
}
