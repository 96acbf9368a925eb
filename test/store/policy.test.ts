// Goal: the store keeps what a policy must know over restarts, and no more of it than its bound.
// Method: a writer and a reader on one real file.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { BadRequest } from '../../src/core/errors.ts';
import { KEYS_PER_CALL_MAX } from '../../src/core/limits.ts';
import { SIGHTINGS_MAX } from '../../src/store/limits.ts';
import { StoreReader } from '../../src/store/reader.ts';
import { StoreWriter } from '../../src/store/writer.ts';
import { tempDir } from '../support/temp-dir.ts';
import { assertWhole, contentOf, execute, query } from './stores.ts';

function open(t: TestContext) {
  const path = join(tempDir(t), 'a.db');
  const writer = new StoreWriter(path);
  const reader = new StoreReader(path);
  t.after(() => {
    reader.close();
    writer.close();
  });
  return { path, writer, reader };
}

test('the time of the first delay stays until there is none', (t) => {
  const { writer } = open(t);
  assert.deepEqual(writer.delayYoung({ isOn: false, nowMs: 1 }), {});
  assert.deepEqual(writer.delayYoung({ isOn: true, nowMs: 2 }), { sinceMs: 2 });
  assert.deepEqual(writer.delayYoung({ isOn: true, nowMs: 3 }), { sinceMs: 2 });
  assert.deepEqual(writer.delayYoung({ isOn: false, nowMs: 4 }), {});
  assert.deepEqual(writer.delayYoung({ isOn: true, nowMs: 5 }), { sinceMs: 5 });
});

test('the first note on a version stays, and one that was here before is not noted', (t) => {
  const { path, writer, reader } = open(t);
  const module = 'example.com/a';
  const put = (name: string, status: number, nowMs: number) =>
    writer.putEntry({
      key: `${module}/@v/${name}`,
      status,
      source: 'upstream',
      nowMs,
      blob: 0,
      bytes: contentOf(1),
    });
  put('v1.0.0.info', 200, 9);
  put('v1.1.0.zip', 200, 9);
  put('v1.2.0.info', 200, 10);
  put('v1.3.0.info', 404, 9);
  const versions = ['v1.0.0', 'v1.1.0', 'v1.2.0', 'v1.3.0', 'v1.4.0-!rc'];
  writer.noteSightings({ module, versions, absentAtMs: 10 });
  writer.noteSightings({ module, versions: ['v1.2.0', 'v1.5.0'], absentAtMs: 20 });
  assert.deepEqual(reader.getSightings({ module }).sightings, [
    { version: 'v1.2.0', absentAtMs: 10 },
    { version: 'v1.3.0', absentAtMs: 10 },
    { version: 'v1.4.0-!rc', absentAtMs: 10 },
    { version: 'v1.5.0', absentAtMs: 20 },
  ]);
  assert.deepEqual(reader.getSightings({ module: 'example.com' }).sightings, []);
  const many = Array.from({ length: KEYS_PER_CALL_MAX + 1 }, (_, at) => `v1.0.${at}`);
  assert.throws(() => writer.noteSightings({ module, versions: many, absentAtMs: 1 }), BadRequest);
  assertWhole(path);
});

test('of too many sightings the oldest are dropped', (t) => {
  const { path, writer, reader } = open(t);
  execute(
    path,
    `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${SIGHTINGS_MAX})
     INSERT INTO sighting SELECT 'example.com/m', 'v1.0.' || i, i FROM n`,
  );
  writer.noteSightings({
    module: 'example.com/a',
    versions: ['v1.0.0', 'v1.0.1'],
    absentAtMs: SIGHTINGS_MAX,
  });
  assert.deepEqual(query(path, 'SELECT count(*) FROM sighting'), [SIGHTINGS_MAX]);
  assert.deepEqual(query(path, 'SELECT min(absent_at_ms) FROM sighting'), [3]);
  assert.equal(reader.getSightings({ module: 'example.com/a' }).sightings.length, 2);
});
