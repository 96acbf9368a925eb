// Goal: a file counts as fetched only when its body came to its end.
// Method: answers with bodies that end well, early or by an error, and what is told of them.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Answer, ByteStream, Origin } from '../../src/core/answer.ts';
import { UpstreamFailed } from '../../src/core/errors.ts';
import { fetchWhole } from '../../src/modules/fetch-whole.ts';

const KEY = 'a.example/x/@v/v1.0.0.zip';

test('a body that is still arriving is read to its end', async () => {
  for (const size of [0, 10]) {
    const body = new Body(size, size);
    assert.deepEqual(await fetched(body, 'upstream'), { origin: 'upstream' });
    assert.deepEqual([body.offset, body.isClosed], [size, true]);
  }
});

test('a body that gives no more bytes before its end is a failure', async () => {
  for (const size of [undefined, 11]) {
    const body = new Body(10, size);
    await assert.rejects(fetched(body, 'upstream'), /^Error: body ended 10 bytes in/);
    assert.ok(body.isClosed);
  }
});

test('a body that breaks off is a failure', async () => {
  const body = new Body(10, 10, new UpstreamFailed('cannot go on'));
  await assert.rejects(fetched(body, 'upstream'), /cannot go on/);
  assert.ok(body.isClosed);
});

test('a stored body is not read', async () => {
  const body = new Body(10, 10);
  assert.deepEqual(await fetched(body, 'store'), { origin: 'store' });
  assert.deepEqual([body.offset, body.isClosed], [0, true]);
});

function fetched(body: ByteStream, origin: Origin) {
  const answer: Answer = { status: 200, kind: 'zip', origin, size: body.size, body, sha256: '' };
  return fetchWhole({ get: async () => answer }, KEY);
}

/** Gives `bytes` bytes in threes, and then an error or no more. */
class Body implements ByteStream {
  readonly size: number | undefined;
  readonly #bytes: number;
  readonly #error: Error | undefined;
  /** The bytes that were read. */
  offset = 0;
  isClosed = false;

  constructor(bytes: number, size: number | undefined, error?: Error) {
    this.#bytes = bytes;
    this.size = size;
    this.#error = error;
  }

  at(offset: number): Uint8Array {
    this.offset = offset;
    if (offset === this.#bytes && this.#error !== undefined) throw this.#error;
    return new Uint8Array(Math.min(3, this.#bytes - offset));
  }

  close(): void {
    this.isClosed = true;
  }
}
