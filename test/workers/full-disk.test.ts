// Goal: with no room left writes fail clearly, reads go on, the store stays whole and works again after.
// Method: a file-size limit on this very process (RLIMIT_FSIZE, by prlimit), set and lifted again.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { StoreFailed } from '../../src/core/errors.ts';
import { CHUNK_BYTES } from '../../src/core/limits.ts';
import { ReaderPool } from '../../src/workers/reader-pool.ts';
import { WriterQueue } from '../../src/workers/writer-queue.ts';
import { assertWhole, contentOf } from '../store/stores.ts';
import { tempDir } from '../support/temp-dir.ts';

const LIMIT_BYTES = 6 * 1024 * 1024;

/** Only the soft limit: it can be lifted again. */
function limitFiles(limit: number | 'unlimited'): void {
  execFileSync('prlimit', ['--pid', String(process.pid), `--fsize=${limit}:`]);
}

function chunkEntry(i: number) {
  return {
    key: `k${i}`,
    status: 200,
    source: 'upstream' as const,
    nowMs: 1,
    blob: i,
    bytes: contentOf(CHUNK_BYTES, i),
  };
}

/** Stores one after the other until one fails; returns how many were stored. */
async function fill(queue: WriterQueue): Promise<{ stored: number; failure: unknown }> {
  for (let i = 1; i <= 200; i++) {
    try {
      await queue.call.putEntry(chunkEntry(i));
    } catch (failure) {
      return { stored: i - 1, failure };
    }
  }
  return { stored: 200, failure: undefined };
}

test('a full disk: the group fails, stored answers are read, and all is well when there is room again', async (t: TestContext) => {
  const path = join(tempDir(t), 'a.db');
  const outcomes: (string | undefined)[] = [];
  const deaths: string[] = [];
  const queue = new WriterQueue({
    dbPath: path,
    onOutcome: (failure) => outcomes.push(failure),
    onDeath: (message) => deaths.push(message),
  });
  await queue.open();
  limitFiles(LIMIT_BYTES);
  t.after(() => limitFiles('unlimited'));
  const { stored, failure } = await fill(queue);
  assert.ok(stored > 2 && stored < 40, `${stored} stored`);
  assert.ok(failure instanceof StoreFailed);
  assert.match(failure.message, /^cannot use store: SQLITE_(FULL|IOERR)/);
  assert.match(String(outcomes.at(-1)), /SQLITE_/);
  assert.deepEqual(deaths, [], 'the writer lives');

  const group = await Promise.allSettled([1, 2, 3].map((i) => queue.call.putEntry(chunkEntry(100 + i))));
  assert.ok(
    group.every(({ status }) => status === 'rejected'),
    'all of a group fail',
  );

  const readers = new ReaderPool({ dbPath: path, threads: 1 });
  for (let i = 1; i <= stored; i++) {
    assert.equal((await readers.call.getEntry({ key: `k${i}` })).bytes?.byteLength, CHUNK_BYTES);
  }
  assert.deepEqual(await readers.call.getEntry({ key: `k${stored + 1}` }), {});
  assert.deepEqual(await readers.call.getEntry({ key: 'k101' }), {});

  limitFiles('unlimited');
  await queue.call.putEntry(chunkEntry(150));
  assert.equal(outcomes.at(-1), undefined);
  assert.equal((await readers.call.getEntry({ key: 'k150' })).entry?.size, CHUNK_BYTES);
  await readers.close();
  await queue.close();
  assertWhole(path);
});
