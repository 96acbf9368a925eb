// Goal: our h1 is Go's for every module of a real corpus; and a real project is tidied with all of its
// checksums verified: cold, warm, with the upstream gone, in another order, with an older head.
// Method: hashes are compared with those that `go` wrote when it filled the corpus and with the
// projects' go.sum; the tidies run in the real `go` against x/mod's own database of the corpus.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { cp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { bufferSource } from '../../src/modzip/byte-source.ts';
import { hashGoMod } from '../../src/modzip/go-mod-hash.ts';
import { hashZip } from '../../src/modzip/zip-hash.ts';
import { Astera } from '../support/astera.ts';
import { corpusFiles, ensureCorpus, PROJECTS, projectDirectory } from '../support/corpus.ts';
import { corpusRecords, zipHash } from '../support/corpus-records.ts';
import { dumpStore } from '../support/dump-store.ts';
import { GoClient } from '../support/go.ts';
import { LocalUpstream } from '../support/local-upstream.ts';
import { type SumdbServer, startSumdbServer } from '../support/sumdb-server.ts';

let root: string;
let db: SumdbServer;
before(async () => {
  root = await ensureCorpus();
  db = await startSumdbServer({ records: 300 });
  const records = corpusRecords(root);
  // Half of them a day later.
  await db.ask({ Cmd: 'add', Texts: records.slice(0, records.length / 2) });
  await db.ask({ Cmd: 'grow', N: 300 });
  await db.ask({ Cmd: 'add', Texts: records.slice(records.length / 2) });
});
after(() => db.close());

const unescaped = (text: string) => text.replace(/!([a-z])/g, (_, letter: string) => letter.toUpperCase());
const escaped = (text: string) => text.replace(/[A-Z]/g, (letter) => `!${letter.toLowerCase()}`);

test('the h1 of every zip is the one that go wrote beside it', async () => {
  const stems = corpusFiles(root).flatMap(({ path }) => (path.endsWith('.zip') ? [path.slice(0, -4)] : []));
  assert.ok(stems.length >= 500, `${stems.length} zips`);
  const wrong: string[] = [];
  for (const stem of stems) {
    const [module = '', version = ''] = stem.split('/@v/').map(unescaped);
    const { h1 } = hashZip(bufferSource(readFileSync(join(root, `${stem}.zip`))), { module, version });
    if (h1 !== zipHash(root, stem)) wrong.push(`${stem}: ${h1}, go ${zipHash(root, stem)}`);
  }
  assert.deepEqual(wrong, []);
});

test('the h1 of every go.mod and zip is the one in the projects go.sum', async () => {
  let compared = 0;
  for (const project of PROJECTS) {
    const sum = readFileSync(join(projectDirectory(project), 'go.sum'), 'utf8');
    for (const [, module = '', version = '', isMod, h1] of sum.matchAll(
      /^(\S+) (\S+?)(\/go\.mod)? (h1:\S+)$/gm,
    )) {
      const stem = `${escaped(module)}/@v/${escaped(version)}`;
      const ours = isMod ? hashGoMod(readFileSync(join(root, `${stem}.mod`))) : zipHash(root, stem);
      assert.equal(ours, h1, `${module} ${version}${isMod ?? ''}`);
      compared++;
    }
  }
  assert.ok(compared > 700, `${compared} lines`);
});

test('a real project is tidied and verified: cold, warm, upstream gone, another order, an older head', async (t) => {
  const upstream = await LocalUpstream.start({ root });
  t.after(() => upstream.close().catch(() => {}));
  const sumdb = `${db.verifierKey} ${db.url}`;
  const astera = await Astera.start({ upstream: upstream.url, flags: ['--sumdb', sumdb] });
  t.after(() => astera.dispose());
  const wanted = readFileSync(join(projectDirectory('small'), 'go.sum'), 'utf8');
  const client = async (url = astera.url) => {
    const made = await GoClient.create(url, { sumdb: db.verifierKey });
    t.after(() => made.dispose());
    return made;
  };
  const tidies = async (who: GoClient, state: string) => {
    await who.take('small', 'whole');
    // Without go.sum every line is fetched from the database.
    await writeFile(join(who.project, 'go.sum'), '');
    const { code, stderr } = await who.run('mod', 'tidy');
    assert.equal(code, 0, `${state}: ${stderr}\n${astera.log}`);
    assert.equal((await who.moduleFiles()).sum, wanted, state);
  };

  const first = await client();
  await tidies(first, 'cold');
  await tidies(await client(), 'warm');
  // Three days on: another client brings newer heads.
  for (let day = 0; day < 3; day++) {
    await db.ask({ Cmd: 'grow', N: 400 });
    const other = await client();
    const { code, stderr } = await other.run('mod', 'download', `github.com/google/uuid@v1.1.${day + 3}`);
    assert.equal(code, 0, stderr);
  }
  await upstream.close();
  await db.ask({ Cmd: 'fork', At: 0, N: 1 }); // And the database with it: nothing of ours is in there now.

  await first.emptyModuleCache();
  await tidies(first, 'upstream gone, its head of the first day');
  await tidies(await client(), 'upstream gone, nothing');
  const backwards = await client();
  for (const line of wanted.trim().split('\n').toReversed()) {
    const [module = '', version = ''] = line.split(' ');
    if (version.endsWith('/go.mod')) continue;
    const { code, stderr } = await backwards.run('mod', 'download', `${module}@${version}`);
    // A tidy needs a version's .info never, a download always.
    assert.ok(code === 0 || /\.info: /.test(stderr), stderr);
  }
  await tidies(backwards, 'upstream gone, backwards');

  await astera.stop();
  const { entries } = dumpStore(astera.db);
  const unproven = entries.filter(({ key, trust }) => /\.(zip|mod)$/.test(key) && trust !== 'confirmed');
  assert.deepEqual(unproven, []);
  const again = await Astera.start({
    upstream: upstream.url,
    db: astera.db,
    flags: ['--sumdb', sumdb, '--offline'],
  });
  t.after(() => again.dispose());
  const late = await client(again.url);
  await cp(join(first.directory, 'path'), join(late.directory, 'path'), { recursive: true });
  await tidies(late, 'restarted, offline');
});
