// Goal: what came in by import, or was kept unchecked, is held against the checksum database by the next
// server, whatever the download cache says of itself; under strict it is not fetched anew for that.
// Method: the real program over a made-up download cache with forged files in it, whose .ziphash files
// claim the truth; x/mod's own checksum database behind an upstream that counts what it is asked.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, type TestContext, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { assertWhole } from '../store/stores.ts';
import { Astera, runAstera } from '../support/astera.ts';
import { writeDownloadCache, writeTree } from '../support/download-cache.ts';
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
  strange,
  withHonest,
} from '../support/forged-modules.ts';
import { LyingUpstream, sumLines } from '../support/lying-upstream.ts';
import { madeUpFiles } from '../support/module-zip.ts';
import { type SumdbServer, startSumdbServer } from '../support/sumdb-server.ts';
import { tempDir } from '../support/temp-dir.ts';

const large = madeUp('large', 1_500_000);
const honest = [...Array.from({ length: 60 }, (_, n) => madeUp(`honest${n}`)), large];
const modules = withHonest(honest);

let db: SumdbServer;
before(async () => {
  db = await startDatabaseOf(modules);
});
after(() => db.close());

type World = { readonly upstream: LyingUpstream; readonly store: string; readonly flags: string[] };

/** A store with all of it by import, two files forged; the upstream tells the truth. */
async function makeWorld(t: TestContext): Promise<World> {
  const [store, root] = [join(tempDir(t), 'a.db'), join(tempDir(t), 'in')];
  writeDownloadCache(root, modules);
  const [, h1 = ''] = /^\S+ \S+ (h1:\S+)$/m.exec(await sumLines(forgedZip)) ?? [];
  writeTree(root, {
    [fileOf(forgedZip, 'zip')]: falseZip,
    [fileOf(forgedZip, 'ziphash')]: h1,
    [fileOf(forgedMod, 'mod')]: falseMod,
  });
  const imported = await runAstera(['import', '--db', store, root]);
  assert.equal(imported.code, 0, imported.stderr);
  const upstream = await LyingUpstream.start(modules, { database: db });
  t.after(() => upstream.close());
  const flags = ['--sumdb', db.verifierKey, '--private', hidden.path];
  return { upstream, store, flags };
}

async function start(t: TestContext, { upstream, store, flags }: World, ...more: string[]): Promise<Astera> {
  const astera = await Astera.start({ upstream: upstream.url, db: store, flags: [...flags, ...more] });
  t.after(() => astera.dispose());
  return astera;
}

const countsOf = async (astera: Astera) => {
  const metrics = await astera.metrics();
  const of = (name: string) => metrics.get(`astera_${name}`);
  return { unchecked: of('unchecked'), unconfirmed: of('unconfirmed'), unknown: of('unknown_to_sumdb') };
};

/** Until nothing is left that nobody has looked at. */
async function looked(astera: Astera): Promise<void> {
  while ((await countsOf(astera)).unchecked !== 0) await setTimeout(50);
}

const trustsOf = (store: string) =>
  new Map(dumpStore(store).entries.map(({ key, trust }) => [key, trust] as const));

test('all that was imported is confirmed or dropped, what is private is never looked up', async (t) => {
  const world = await makeWorld(t);
  const astera = await start(t, world);
  await looked(astera);
  assert.deepEqual(await countsOf(astera), { unchecked: 0, unconfirmed: 2, unknown: 2 });
  await astera.stop();
  const trusts = trustsOf(world.store);
  for (const kind of ['mod', 'zip']) {
    for (const one of honest) assert.equal(trusts.get(fileOf(one, kind)), 'confirmed', fileOf(one, kind));
    assert.equal(trusts.get(fileOf(strange, kind)), 'unconfirmed');
    assert.equal(trusts.get(fileOf(hidden, kind)), 'unchecked');
  }
  assert.ok(!trusts.has(fileOf(forgedZip, 'zip')) && !trusts.has(fileOf(forgedMod, 'mod')));
  for (const forged of [fileOf(forgedZip, 'zip'), fileOf(forgedMod, 'mod')])
    await astera.logged(new RegExp(`${forged}.*SECURITY: the checksum database contradicts`));
  const asked = world.upstream.asked.filter((path) => !path.includes('/tile/'));
  assert.ok(!asked.some((path) => path.includes('hidden')), 'never looked up');
  assert.ok(!asked.some((path) => /\.(zip|mod|info)$/.test(path)), 'nothing is fetched for it');
  assertWhole(world.store);
});

test('a server that is killed goes on where it stood, and asks about nothing twice', async (t) => {
  const world = await makeWorld(t);
  const lookups = () => world.upstream.asked.filter((path) => path.includes('/lookup/')).length;
  for (const share of [0.2, 0.5]) {
    const astera = await start(t, world);
    while (lookups() < share * modules.length) await setTimeout(10);
    await astera.kill();
  }
  const astera = await start(t, world);
  await looked(astera);
  await astera.stop();
  // Twice killed: once between a question and its record, at most; and what is unknown waits a minute.
  assert.ok(lookups() <= modules.length + 3, `${lookups()} questions about ${modules.length} versions`);
  assert.equal(trustsOf(world.store).get(fileOf(large, 'zip')), 'confirmed');
});

test('with --verify=strict what is stored and good goes out, not fetched anew; what is forged is', async (t) => {
  const world = await makeWorld(t);
  const astera = await start(t, world, '--verify', 'strict');
  for (const one of [...honest, forgedZip, forgedMod].toReversed()) {
    for (const kind of ['mod', 'zip'] as const) {
      const answer = await astera.get(fileOf(one, kind));
      assert.ok(madeUpFiles(one)[kind].equals(Buffer.from(await answer.arrayBuffer())), fileOf(one, kind));
    }
  }
  const fetched = world.upstream.asked.filter((path) => /\.(zip|mod)$/.test(path));
  assert.deepEqual(fetched.sort(), [fileOf(forgedMod, 'mod'), fileOf(forgedZip, 'zip')]);
});

test('with --verify=strict and no database what is stored stays, and is not served', async (t) => {
  const { upstream, store } = await makeWorld(t);
  const flags = ['--sumdb', `${db.verifierKey} http://127.0.0.1:1`];
  upstream.alter = (path, bytes) => (path.startsWith('sumdb/') ? undefined : bytes);
  const astera = await start(t, { upstream, store, flags }, '--verify', 'strict');
  const [one = forgedZip] = honest;
  for (const kind of ['mod', 'zip']) assert.equal((await astera.get(fileOf(one, kind))).status, 504);
  await astera.stop();
  assert.deepEqual(
    ['mod', 'zip'].map((kind) => trustsOf(store).get(fileOf(one, kind))),
    ['unconfirmed', 'unconfirmed'],
  );
});

test('with --verify=off nobody looks at it', async (t) => {
  const world = await makeWorld(t);
  const astera = await start(t, world, '--verify', 'off');
  assert.equal((await astera.get(fileOf(strange, 'zip'))).status, 200);
  assert.equal((await countsOf(astera)).unchecked, 2 * modules.length);
  await astera.stop();
  assert.deepEqual(world.upstream.asked, []);
});

test('what was confirmed under another key is confirmed again, or dropped', async (t) => {
  const world = await makeWorld(t);
  const first = await start(t, world);
  await looked(first);
  await first.stop();
  const other = await startSumdbServer({ records: 0 });
  t.after(() => other.close());
  const [denied = forgedZip, ...agreed] = honest;
  const lie = await sumLines({ ...denied, contentBytes: 5 });
  await other.ask({ Cmd: 'add', Texts: [lie, ...(await Promise.all(agreed.map(sumLines)))] });
  const upstream = await LyingUpstream.start(modules, { database: other });
  t.after(() => upstream.close());
  assert.equal(other.name, db.name);
  const flags = ['--sumdb', other.verifierKey, '--private', hidden.path];
  const second = await start(t, { ...world, upstream, flags });
  await second.logged(/"files":126\b.*confirmed by another checksum database or key/);
  while (trustsOf(world.store).has(fileOf(denied, 'zip'))) await setTimeout(50);
  while ((await countsOf(second)).unconfirmed !== (await countsOf(second)).unknown) await setTimeout(50);
  await second.stop();
  const trusts = trustsOf(world.store);
  for (const one of agreed) assert.equal(trusts.get(fileOf(one, 'zip')), 'confirmed');
  const third = await start(t, { ...world, upstream, flags });
  assert.doesNotMatch(third.log, /another checksum database/);
});
