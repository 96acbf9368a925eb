// Goal: a list of modules and versions names what is stored, by any part of a path, page by page, out of one index alone.
// Method: a real store with a table of keys; each search is held against what is in the table. Plans come from SQLite.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { StoreReader } from '../../src/store/reader.ts';
import { openReadable } from '../../src/store/schema.ts';
import { StoreWriter } from '../../src/store/writer.ts';
import { tempDir } from '../support/temp-dir.ts';
import { contentOf, put } from './stores.ts';

type Key = { key: string; size?: number; status?: number; nowMs?: number };

const keys: readonly Key[] = [
  { key: 'github.com/!azure/go/@v/v1.0.0.info', size: 5 },
  { key: 'github.com/!azure/go/@v/v1.0.0.mod', size: 7, nowMs: 3_000 },
  { key: 'github.com/!azure/go/@v/v1.0.0.zip', size: 100 },
  { key: 'github.com/!azure/go/@v/v1.10.0.mod', size: 7 },
  { key: 'github.com/!azure/go/@v/v1.9.0.zip', size: 50 },
  { key: 'github.com/!azure/go/@v/v2.0.0-!r!c1.zip', size: 9 },
  { key: 'github.com/!azure/go/@v/list' },
  { key: 'github.com/!azure/go/@v/main.info' },
  { key: 'github.com/!azure/go/@latest' },
  { key: 'github.com/!azure/go-x/@v/v0.1.0.mod' },
  { key: 'github.com/!azure/go/sub/@v/v0.2.0.mod' },
  { key: 'github.com/gone/@v/v1.0.0.zip', status: 404 },
  { key: 'github.com/gone/@v/list', status: 404 },
  { key: 'rsc.io/quote/@v/v1.5.2.zip' },
  { key: 'sumdb/sum.example/lookup/rsc.io/quote@v1.5.2' },
];

function storeOf(t: TestContext): StoreReader {
  const path = join(tempDir(t), 'a.db');
  const writer = new StoreWriter(path);
  for (const { key, size = 3, status = 200, nowMs } of keys)
    put(writer, { key, bytes: contentOf(size), status, ...(nowMs !== undefined && { nowMs }) });
  writer.close();
  const reader = new StoreReader(path);
  t.after(() => reader.close());
  return reader;
}

const ALL = ['github.com/!azure/go-x', 'github.com/!azure/go', 'github.com/!azure/go/sub', 'rsc.io/quote'];

const searches: readonly { text: string; finds: readonly string[]; why: string }[] = [
  { text: '', finds: ALL, why: 'all with a file of a version; no 404, no checksum' },
  { text: 'azure', finds: ALL.slice(0, 3), why: 'a capital is found by its small letter' },
  { text: 'github.com/a', finds: ALL.slice(0, 3), why: 'the beginning' },
  { text: 'go/s', finds: ['github.com/!azure/go/sub'], why: 'a part with a slash' },
  { text: 'v1', finds: [], why: 'versions do not count without an @' },
  { text: 'quote@v1.5', finds: ['rsc.io/quote'], why: 'a path and the beginning of a version' },
  { text: '@v2.0.0-rc', finds: ['github.com/!azure/go'], why: 'any path' },
  { text: 'quote@v1.5.2.zip', finds: [], why: 'the ending of a file is no part of its version' },
  { text: "'; DROP TABLE entry --", finds: [], why: 'no SQL' },
  { text: '%', finds: [], why: 'no pattern' },
  { text: 'ä€\u0000', finds: [], why: 'no ASCII' },
];

for (const { text, finds, why } of searches) {
  test(`a search for ${JSON.stringify(text)} finds ${finds.length}: ${why}`, (t) => {
    const { modules } = storeOf(t).findModules({ text, after: '', limit: 10 });
    assert.deepEqual(
      modules.map(({ module }) => module),
      finds,
    );
  });
}

test('pages follow each other without a gap, whatever the limit', (t) => {
  const reader = storeOf(t);
  for (const limit of [1, 2, 3]) {
    const seen: string[] = [];
    for (let after = ''; ; ) {
      const { modules } = reader.findModules({ text: '', after, limit });
      seen.push(...modules.map(({ module }) => module));
      const last = modules.at(-1);
      if (last === undefined) break;
      after = last.module;
    }
    assert.deepEqual(seen, ALL, `by ${limit}`);
  }
});

test('a module has the sum of what the text fits', (t) => {
  const reader = storeOf(t);
  const all = reader.findModules({ text: 'azure/go', after: 'github.com/!azure/go-x', limit: 1 });
  assert.deepEqual(all.modules, [{ module: 'github.com/!azure/go', versions: 4, bytes: 178 }]);
  const some = reader.findModules({ text: 'azure/go@v1.', after: '', limit: 9 });
  assert.deepEqual(some.modules, [{ module: 'github.com/!azure/go', versions: 3, bytes: 169 }]);
});

test('versions come newest first, each with its zip and its last use', (t) => {
  const reader = storeOf(t);
  const asked = { module: 'github.com/!azure/go', text: '', from: 0, limit: 9 };
  assert.deepEqual(reader.getModuleVersions(asked), {
    count: 4,
    versions: [
      { version: 'v2.0.0-RC1', zipBytes: 9, usedAtMs: 1_000 },
      { version: 'v1.10.0', zipBytes: undefined, usedAtMs: 1_000 },
      { version: 'v1.9.0', zipBytes: 50, usedAtMs: 1_000 },
      { version: 'v1.0.0', zipBytes: 100, usedAtMs: 3_000 },
    ],
  });
  const { versions, count } = reader.getModuleVersions({ ...asked, text: 'go@v1.', from: 1, limit: 1 });
  assert.deepEqual([count, versions.map(({ version }) => version)], [3, ['v1.9.0']]);
  assert.deepEqual(reader.getModuleVersions({ ...asked, module: 'a.example/none' }), {
    count: 0,
    versions: [],
  });
});

test('the index has all that a list takes', (t) => {
  const path = join(tempDir(t), 'a.db');
  new StoreWriter(path).close();
  const db = openReadable(path);
  t.after(() => db.close());
  const from = "FROM entry INDEXED BY entry_version WHERE status = 200 AND kind IN ('info', 'mod', 'zip')";
  const [step] = db
    .prepare<[], { detail: string }>(
      `EXPLAIN QUERY PLAN SELECT key, kind, size ${from} AND key > 'a' ORDER BY key`,
    )
    .all();
  assert.equal(step?.detail, 'SEARCH entry USING COVERING INDEX entry_version (key>?)');
});
