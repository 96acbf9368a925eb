/** What the tests of this room share: an upstream under test on short waits, bytes, and readers of its events. */

import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import type { TestContext } from 'node:test';
import { type ErrorKind, isServeError, type ServeError } from '../../src/core/errors.ts';
import type { Clock, FetchEvent, FetchRequest, Upstream } from '../../src/core/ports.ts';
import { createUpstream } from '../../src/upstream/proxy-list.ts';
import type { UpstreamOptions } from '../../src/upstream/settings.ts';
import { FaultyUpstream } from '../support/faulty-upstream.ts';

export const PATH = 'example.com/m/@v/v1.0.0.zip';
export const BYTES_MAX = 64 * 1024 * 1024;

/** A clock that stands until it is moved. */
export class HandClock implements Clock {
  nowMs = 1_000_000;
  wallMs(): number {
    return this.nowMs;
  }
  monotonicMs(): number {
    return this.nowMs;
  }
}

export type Seen = {
  readonly requests: (number | 'error')[];
  resumes: number;
  readonly warnings: string[];
  readonly down: { readonly name: string; readonly forMs: number }[];
  /** Until something has been marked as down so many times. */
  downs(count: number): Promise<void>;
};

export type Rig = { readonly upstream: Upstream; readonly clock: HandClock; readonly seen: Seen };

/** An upstream for `list` with waits of a millisecond, closed with the test. */
export function rig(t: TestContext, list: string, options: Partial<UpstreamOptions> = {}): Rig {
  const clock = new HandClock();
  const news = new EventEmitter();
  const seen: Seen = {
    requests: [],
    resumes: 0,
    warnings: [],
    down: [],
    downs: async (count) => {
      while (seen.down.length < count) await once(news, 'down');
    },
  };
  const upstream = createUpstream({
    list,
    instance: 'test',
    version: '0.0.0',
    clock,
    random: () => 0.5,
    backoff: { baseMs: 1, capMs: 2 },
    events: {
      request: (status) => seen.requests.push(status),
      resume: () => {
        seen.resumes += 1;
      },
      warn: (message) => seen.warnings.push(message),
      down: (name, forMs) => {
        seen.down.push({ name, forMs });
        news.emit('down');
      },
    },
    ...options,
  });
  t.after(() => upstream.close());
  return { upstream, clock, seen };
}

export async function faulty(t: TestContext): Promise<FaultyUpstream> {
  const server = await FaultyUpstream.start();
  t.after(() => server.close());
  return server;
}

/** Bytes that repeat nowhere near, so that a piece in the wrong place shows. */
export function someBytes(length: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = Math.imul(seed, 40_503); // None of the seeds in use begins as markup does.
  for (let i = 0; i < length; i += 1) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}

export type Collected = {
  /** What a consumer holds that throws away at each `start`. */
  bytes: Buffer;
  readonly starts: Extract<FetchEvent, { kind: 'start' }>[];
};

/** Follows a stream as the real consumer does; `had` is what it holds from before. */
export async function collect(events: AsyncIterable<FetchEvent>, had = Buffer.alloc(0)): Promise<Collected> {
  const collected: Collected = { bytes: had, starts: [] };
  const pieces: Uint8Array[] = [had];
  for await (const event of events) {
    if (event.kind === 'bytes') pieces.push(event.bytes);
    else {
      collected.starts.push(event);
      const kept = Buffer.concat(pieces).subarray(0, event.offset);
      assert.equal(kept.byteLength, event.offset, 'a start lies within what came before');
      pieces.splice(0, pieces.length, kept);
    }
  }
  collected.bytes = Buffer.concat(pieces);
  return collected;
}

export function ask(path = PATH, more: Partial<FetchRequest> = {}): FetchRequest {
  return { path, bytesMax: BYTES_MAX, ...more };
}

/** The error that `promise` rejects with, of that kind and on one line. */
export async function failure(promise: Promise<unknown>, kind: ErrorKind): Promise<ServeError> {
  const error = await promise.then(
    () => assert.fail(`expected ${kind}, but it worked`),
    (thrown: unknown) => thrown,
  );
  assert.ok(isServeError(error), `not a ServeError: ${error instanceof Error ? error.stack : error}`);
  assert.equal(error.kind, kind, error.message);
  assert.doesNotMatch(error.message, /[\n\r]/);
  return error;
}

export function assertSame(actual: Uint8Array, expected: Uint8Array): void {
  assert.equal(actual.byteLength, expected.byteLength);
  assert.ok(Buffer.compare(actual, expected) === 0, 'other bytes');
}
