// Goal: the tree below `mod/` in a bucket, copied to a directory, is all that a real project needs, with its checksum database; and
// what somebody alters in it the database's word refuses.
// Method: a server fills the bucket while a real project is tidied from its import lines; then `go` has the copy alone, by
// GOPROXY=file://, with GONOSUMDB unset. The database is x/mod's own, with the records of the corpus, at no address that `go` knows.

import assert from 'node:assert/strict';
import { cpSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { startNode, uploaded } from '../support/bucket-nodes.ts';
import { BucketServer } from '../support/bucket-server.ts';
import { ensureCorpus } from '../support/corpus.ts';
import { corpusRecords } from '../support/corpus-records.ts';
import { GoClient } from '../support/go.ts';
import { LocalUpstream } from '../support/local-upstream.ts';
import { madeUpFiles } from '../support/module-zip.ts';
import { startSumdbServer } from '../support/sumdb-server.ts';
import { tempDir } from '../support/temp-dir.ts';

/** What is altered. */
const UUID = { path: 'github.com/google/uuid', version: 'v1.6.0', contentBytes: 100 };

test('a real project needs nothing but a copy of the tree, and its checksum database keeps it', {
  timeout: 300_000,
}, async (t) => {
  const root = await ensureCorpus();
  const bucket = await BucketServer.start(tempDir(t));
  t.after(() => bucket.stop());
  const database = await startSumdbServer({ records: 300 });
  t.after(() => database.close());
  await database.ask({ Cmd: 'add', Texts: corpusRecords(root) });
  const upstream = await LocalUpstream.start({ root });
  t.after(() => upstream.close());
  const node = await startNode(bucket.url, {
    upstream: upstream.url,
    flags: ['--sumdb', `${database.verifierKey} ${database.url}`],
  });
  t.after(() => node.dispose());
  const client = async (proxy: string) => {
    const go = await GoClient.create(proxy, { sumdb: database.verifierKey });
    t.after(() => go.dispose());
    return go;
  };
  const tidied = async (proxy: string) => {
    const go = await client(proxy);
    await go.take('small', 'imports');
    const { code, stderr } = await go.run('mod', 'tidy');
    assert.equal(code, 0, `${stderr}\n${node.log}`);
    return go;
  };
  const wanted = await (await tidied(node.url)).moduleFiles();
  assert.ok(wanted.sum.split('\n').length > 100);
  await uploaded(node);
  await node.stop();

  const tree = join(tempDir(t), 'a copy');
  cpSync(join(bucket.directory, 'mod'), tree, { recursive: true });
  const proxy = pathToFileURL(tree).href;
  const go = await tidied(proxy);
  assert.deepEqual(await go.moduleFiles(), wanted);
  for (const args of [
    ['mod', 'verify'],
    ['list', '-deps', './...'],
  ]) {
    const { code, stdout, stderr } = await go.run(...args);
    assert.equal(code, 0, `${args}: ${stdout}${stderr}`);
  }

  writeFileSync(join(tree, UUID.path, '@v', `${UUID.version}.zip`), madeUpFiles(UUID).zip);
  const deceived = await client(proxy);
  const { code, stdout } = await deceived.run('mod', 'download', '-json', `${UUID.path}@${UUID.version}`);
  assert.equal(code, 1);
  assert.match(stdout, /checksum mismatch.*SECURITY ERROR/s);
});
