// Goal: finding older versions of a package costs as much as there are of them, not as there are actions.
// Method: SQLite says how it would do it; what is found, test/buildcache/sessions.test.ts has.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { VERSIONS } from '../../src/store/delta-bases.ts';
import { openWritable } from '../../src/store/schema.ts';
import { tempDir } from '../support/temp-dir.ts';

test('versions of a package are found by their index, in order', (t) => {
  const db = openWritable(join(tempDir(t), 'a.db'));
  t.after(() => db.close());
  const steps = db.prepare<[object], { detail: string }>(`EXPLAIN QUERY PLAN ${VERSIONS}`);
  assert.deepEqual(
    steps.all({ blob: 1, namespace: '', limit: 5 }).map(({ detail }) => detail),
    [
      'SEARCH own USING INTEGER PRIMARY KEY (rowid=?)',
      'SEARCH output USING COVERING INDEX output_package (package_key=?)',
      'SEARCH blob USING INTEGER PRIMARY KEY (rowid=?)',
      'SEARCH action USING INDEX action_output (output=?)',
    ],
  );
});
