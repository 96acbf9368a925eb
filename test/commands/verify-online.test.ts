// Goal: `astera verify --online` finds what the checksum database contradicts, whatever the store says of
// itself, asks it gently and about nothing private, and `--repair` puts the truth in its place.
// Method: the real program over stores that a real server filled, unchecked, from an upstream that lied;
// x/mod's own checksum database behind it.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { after, before, type TestContext, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { hashGoMod } from '../../src/modzip/go-mod-hash.ts';
import { openWritable } from '../../src/store/schema.ts';
import { assertWhole } from '../store/stores.ts';
import { Astera, runAstera } from '../support/astera.ts';
import { dumpStore } from '../support/dump-store.ts';
import {
  falseMod,
  falseZip,
  fileOf,
  forgedMod,
  forgedZip,
  hidden,
  madeUp,
  startDatabaseOf,
  withHonest,
} from '../support/forged-modules.ts';
import { LyingUpstream } from '../support/lying-upstream.ts';
import { type MadeUpModule, madeUpFiles } from '../support/module-zip.ts';
import type { SumdbServer } from '../support/sumdb-server.ts';
import { tempDir } from '../support/temp-dir.ts';

const honest = Array.from({ length: 40 }, (_, n) => madeUp(`honest${n}`));
const modules = withHonest(honest);

let db: SumdbServer;
before(async () => {
  db = await startDatabaseOf(modules);
});
after(() => db.close());

type World = { readonly upstream: LyingUpstream; readonly store: string; readonly flags: string[] };

/** A store with all of it, two files forged; from now on the upstream tells the truth. */
async function makeWorld(t: TestContext): Promise<World> {
  const upstream = await LyingUpstream.start(modules, { database: db });
  t.after(() => upstream.close());
  upstream.alter = (path, bytes) => {
    if (path === fileOf(forgedZip, 'zip')) return falseZip;
    return path === fileOf(forgedMod, 'mod') ? falseMod : bytes;
  };
  const store = join(tempDir(t), 'a.db');
  const astera = await Astera.start({ upstream: upstream.url, db: store, flags: ['--verify', 'off'] });
  t.after(() => astera.dispose());
  for (const one of modules) {
    for (const kind of ['info', 'mod', 'zip']) await (await astera.get(fileOf(one, kind))).arrayBuffer();
  }
  await astera.stop();
  upstream.alter = (_, bytes) => bytes;
  upstream.asked = [];
  const flags = ['--upstream', upstream.url, '--sumdb', db.verifierKey, '--private', hidden.path];
  return { upstream, store, flags };
}

const BAD_ZIP =
  /^bad: made-up\.example\/forged-zip\/@v\/v1\.0\.0\.zip: its h1 is h1:\S+, the checksum database's h1:\S+$/m;
const BAD_MOD = /^bad: made-up\.example\/forged-mod\/@v\/v1\.0\.0\.mod: its h1 is h1:\S+, the .* h1:\S+$/m;
const UNKNOWN = /^unknown to it: made-up\.example\/strange@v1\.0\.0: not found: .*lookup\/made-up/m;
const SUMMARY =
  /^asked the checksum database in [\d.]+s: 40 module versions confirmed, 2 bad, 1 unknown to it, 1 private, never asked about$/m;

function assertFound({ code, stdout, stderr }: Awaited<ReturnType<typeof runAstera>>): void {
  for (const line of [BAD_ZIP, BAD_MOD, UNKNOWN, SUMMARY]) assert.match(stdout, line);
  assert.match(stdout, /: all is well$/m, 'what the store says of itself');
  assert.match(stderr, /^astera: found 2 faults: 'astera verify --repair' [^\n]+\n$/);
  assert.equal(code, 1);
}

test('alone: what the database contradicts is found, then repaired, and the rest is only asked about', async (t) => {
  const { upstream, store, flags } = await makeWorld(t);
  assert.equal((await runAstera(['verify', '--db', store])).code, 0, 'without --online nothing is wrong');
  let open = 0;
  let most = 0;
  upstream.alter = async (path, bytes) => {
    if (!path.includes('/lookup/')) return bytes;
    most = Math.max(most, ++open);
    for (let turn = 0; turn < 20; turn++) await setImmediate();
    open--;
    return bytes;
  };
  assertFound(await runAstera(['verify', '--online', '--db', store, ...flags]));
  assert.ok(most > 1 && most <= 12, `${most} questions at one time`);
  assert.equal(upstream.count(/\/lookup\//), modules.length - 1, 'one for each module version');
  assert.equal(upstream.count(/hidden/), 0);
  assert.equal(upstream.count(/\.(zip|mod)$/), 0);

  const repaired = await runAstera(['verify', '--online', '--repair', '--db', store, ...flags]);
  assert.equal(repaired.code, 0, repaired.stderr);
  assert.match(repaired.stdout, /^dropped what was bad, fetched 2 answers again$/m);
  assert.deepEqual(upstream.asked.filter((path) => /\.(zip|mod)$/.test(path)).sort(), [
    fileOf(forgedMod, 'mod'),
    fileOf(forgedZip, 'zip'),
  ]);
  assert.equal(upstream.count(/hidden/), 0);
  assertWhole(store);
  const trusts = dumpStore(store).entries.flatMap(({ key, trust }) =>
    key.includes('forged') ? [trust] : [],
  );
  assert.equal(trusts.filter((trust) => trust === 'confirmed').length, 2);
  assert.equal((await runAstera(['verify', '--online', '--db', store, ...flags])).code, 0);
});

test('beside a server it is the server that asks, by its own settings, and serves the truth afterwards', async (t) => {
  const { upstream, store, flags } = await makeWorld(t);
  const astera = await Astera.start({
    upstream: upstream.url,
    db: store,
    // Else it would find out by itself, in the background.
    flags: ['--sumdb', db.verifierKey, '--private', hidden.path, '--verify', 'off'],
  });
  t.after(() => astera.dispose());
  const served = async (one: MadeUpModule, kind: string) =>
    Buffer.from(await (await astera.get(fileOf(one, kind))).arrayBuffer());
  assert.ok(falseZip.equals(await served(forgedZip, 'zip')), 'it was not checked when it came');
  // The command's own flags say nothing: the server's do.
  assertFound(await runAstera(['verify', '--online', '--db', store]));
  assert.equal(upstream.count(/hidden/), 0);
  const repaired = await runAstera(['verify', '--online', '--repair', '--db', store, ...flags]);
  assert.equal(repaired.code, 0, repaired.stderr);
  assert.ok(madeUpFiles(forgedZip).zip.equals(await served(forgedZip, 'zip')));
  assert.ok(madeUpFiles(forgedMod).mod.equals(await served(forgedMod, 'mod')));
  await astera.stop();
  assertWhole(store);
});

test('a stored record that agrees with the forgery counts for nothing', async (t) => {
  const { upstream, store, flags } = await makeWorld(t);
  const filler = await Astera.start({
    upstream: upstream.url,
    db: store,
    flags: ['--sumdb', db.verifierKey, '--verify', 'off'],
  });
  t.after(() => filler.dispose());
  const lookup = `sumdb/${db.name}/lookup/made-up.example/forged-mod@v1.0.0`;
  assert.equal((await filler.get(lookup)).status, 200);
  await filler.stop();
  // Who can write into the store makes it whole again, too.
  const connection = openWritable(store);
  const row = connection
    .prepare<[string], { body: Buffer }>('SELECT body FROM entry WHERE key = ?')
    .get(lookup);
  const forgedLine = `${forgedMod.path} ${forgedMod.version}/go.mod ${hashGoMod(falseMod)}`;
  const body = Buffer.from(String(row?.body).replace(/^\S+ \S+\/go\.mod .*$/m, forgedLine));
  connection
    .prepare('UPDATE entry SET body = ?, size = ?, sha256 = ? WHERE key = ?')
    .run(body, body.byteLength, createHash('sha256').update(body).digest(), lookup);
  connection.close();
  assertFound(await runAstera(['verify', '--online', '--db', store, ...flags]));
});

test('what could not be asked is no fault, but it is not verified either', async (t) => {
  const { upstream, store, flags } = await makeWorld(t);
  await upstream.close();
  for (const more of [[], ['--offline']]) {
    const { code, stdout, stderr } = await runAstera([
      'verify',
      '--online',
      '--db',
      store,
      ...flags,
      ...more,
    ]);
    assert.equal(code, 1);
    assert.match(stdout, /^not asked: made-up\.example\/\S+@v1\.0\.0: cannot (fetch|find) /m);
    assert.match(stdout, /^and 23 more$/m);
    assert.match(stdout, /: 0 module versions confirmed, 43 not asked, 1 private, never asked about$/m);
    assert.match(stderr, /^astera: cannot ask the checksum database about 43 module versions: [^\n]+$/m);
  }
  const off = await runAstera(['verify', '--online', '--db', store, '--upstream', 'off', '--sumdb', 'off']);
  assert.match(off.stdout, /^not asked: \S+: no checksum database is set: --sumdb is off$/m);
  assert.equal(off.code, 1);
});

test('an answer that proves nothing is not taken for one', async (t) => {
  const { upstream, store, flags } = await makeWorld(t);
  upstream.alter = (path, bytes) =>
    path.includes('/lookup/') && bytes !== undefined
      ? Buffer.from(Buffer.from(bytes).toString().replaceAll('h1:', 'h1:B'))
      : bytes;
  const { code, stdout } = await runAstera(['verify', '--online', '--db', store, ...flags]);
  assert.match(stdout, /^not asked: made-up\.example\/\S+: cannot verify record \d+: /m);
  assert.match(stdout, /: 0 module versions confirmed, 1 unknown to it, 42 not asked, 1 private/m);
  assert.equal(code, 1);
});
