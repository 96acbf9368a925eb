// Goal: what is held comes out as it went in, whatever was answered between, in memory or in a file.
// Method: bodies past the bound of memory, in pieces, one of which is answered while the next one comes.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HeldRequests } from '../../src/plugin/held-requests.ts';
import { PLUGIN_HELD_BYTES_MAX } from '../../src/plugin/limits.ts';
import type { CacheRequest } from '../../src/plugin/request-reader.ts';

const PIECES = 16;

function request(id: number, command: string): CacheRequest {
  return { id, command, actionId: '', outputId: '', bodySize: 0 };
}

function pieceOf(body: number, piece: number): Buffer {
  return Buffer.alloc((PLUGIN_HELD_BYTES_MAX * 0.75) / PIECES, body * PIECES + piece);
}

test('a body goes on in the file where it is, after memory has room again', () => {
  const held = new HeldRequests();
  held.onRequest(request(1, 'get'));
  for (const body of [2, 3]) {
    held.onRequest(request(body, 'put'));
    for (let piece = 0; piece < PIECES; piece++) {
      if (body === 3 && piece === 12) held.drop(2);
      held.onBody(pieceOf(body, piece));
    }
    held.onBodyEnd();
  }
  held.onRequest(request(4, 'put'));
  held.onBody(pieceOf(4, 0));
  const out: (number | string | Buffer)[] = [];
  held.handOver({
    onRequest: ({ id, command }) => out.push(id, command),
    onBody: (bytes) =>
      out.push(
        Buffer.concat([...(Buffer.isBuffer(out.at(-1)) ? [out.pop()] : []), bytes].filter(Buffer.isBuffer)),
      ),
    onBodyEnd: () => out.push('end'),
  });
  const whole = Buffer.concat(Array.from({ length: PIECES }, (_, piece) => pieceOf(3, piece)));
  assert.deepEqual(
    out.map((part) => (Buffer.isBuffer(part) ? part.length : part)),
    [1, 'get', 3, 'put', whole.length, 'end', 4, 'put', pieceOf(4, 0).length],
  );
  assert.ok(whole.equals(Buffer.from(out[4] as Buffer)));
  assert.equal(held.size, 0);
});
