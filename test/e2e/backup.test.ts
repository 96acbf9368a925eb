// Goal: a backup that is made while clients fetch and zips are evicted is whole: restored, it verifies and serves.
// Method: a real server with a small limit between clients and an upstream of made-up modules; backup and restore by
// their commands. The restored store is served with no upstream at all.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { assertWhole, query } from '../store/stores.ts';
import { Astera } from '../support/astera.ts';
import { AsteraCommand } from '../support/astera-command.ts';
import { LocalUpstream } from '../support/local-upstream.ts';
import { madeUpFiles } from '../support/module-zip.ts';
import { ask } from '../support/raw-client.ts';
import { tempDir } from '../support/temp-dir.ts';

const ZIP_BYTES = 500_000;
const CLIENTS = 4;
/** More than the limit has room for. */
const FIRST = 100;

function pathOf(name: string): string {
  return `made-up.example/${name}/@v/v1.0.0.zip`;
}

async function fetchZip({ url }: Astera, name: string): Promise<void> {
  const { status, isWhole } = await ask(`${url}/${pathOf(name)}`);
  assert.ok(status === 200 && isWhole, `${name}: ${status}, whole: ${isWhole}`);
}

test('a backup beside clients that fetch, while zips are evicted, is whole when it is restored', {
  timeout: 180_000,
}, async (t) => {
  const upstream = await LocalUpstream.start({
    endless: { prefix: 'made-up.example', contentBytes: ZIP_BYTES },
  });
  t.after(() => upstream.close());
  const directory = tempDir(t);
  const [db, file, restored] = ['a.db', 'a.backup', 'b.db'].map((name) => join(directory, name)) as [
    string,
    string,
    string,
  ];
  const astera = await Astera.start({
    ...{ upstream: upstream.url, db },
    flags: ['--verify', 'off', '--max-size', '40MB'],
  });
  t.after(() => astera.dispose());
  for (let at = 0; at < FIRST; at++) await fetchZip(astera, `first/m${at}`);

  let isOver = false;
  let fetched = 0;
  const load = Array.from({ length: CLIENTS }, async (_, client) => {
    for (let at = 0; !isOver; at++, fetched++) await fetchZip(astera, `client${client}/m${at}`);
  });
  const backup = await new AsteraCommand(['backup', '--db', db, file]).exited.finally(() => {
    isOver = true;
  });
  await Promise.all(load);
  assert.equal(backup.code, 0, backup.stderr);
  assert.ok(fetched >= CLIENTS, `${fetched} zips were fetched meanwhile`);
  await astera.stop();
  assertWhole(db);

  const restore = await new AsteraCommand(['restore', '--db', restored, file]).exited;
  assert.equal(restore.code, 0, restore.stderr);
  const verify = await new AsteraCommand(['verify', '--db', restored]).exited;
  assert.equal(verify.code, 0, verify.stdout + verify.stderr);
  const zips = query(restored, "SELECT key FROM entry WHERE kind = 'zip'") as string[];
  assert.ok(zips.length > 40, `${zips.length} zips`);

  const again = await Astera.start({ upstream: 'off', db: restored });
  t.after(() => again.dispose());
  for (const key of zips.slice(0, 10)) {
    const [path = ''] = key.split('/@v/');
    const { zip } = madeUpFiles({ path, version: 'v1.0.0', contentBytes: ZIP_BYTES });
    const { body } = await ask(`${again.url}/${key}`);
    assert.ok(body.equals(zip), key);
  }
});
