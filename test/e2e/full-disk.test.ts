// Goal: with no room to store anything clients are still served, but nothing that would have to be checked; the log and
// /readyz say it, the store stays whole, and all is well when there is room again.
// Method: a real server whose room ends in three ways: the reserve of a small tmpfs is reached (a ballast
// file beside the store), the tmpfs is filled to the last byte in the middle of a download, and, where
// mounting is not allowed also, a file-size limit on the server's process (RLIMIT_FSIZE).

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, statfs, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { assertWhole, query, sha256Of } from '../store/stores.ts';
import { Astera } from '../support/astera.ts';
import { LocalUpstream } from '../support/local-upstream.ts';
import { LyingUpstream, sumLines } from '../support/lying-upstream.ts';
import { type MadeUpModule, madeUpFiles } from '../support/module-zip.ts';
import { ask } from '../support/raw-client.ts';
import { startSumdbServer } from '../support/sumdb-server.ts';

const MIB = 1024 * 1024;
const DISK_BYTES = 64 * MIB;
const CLIENTS = 40;

/** Free bytes below which Astera stores nothing on such a disk. */
const RESERVE_BYTES = DISK_BYTES / 10;

const kept = noise('kept', 3 * MIB);
const large = noise('large', 20 * MIB);
const late = noise('late', 3 * MIB);

function noise(name: string, contentBytes: number): MadeUpModule {
  return { path: `made-up.example/${name}`, version: 'v1.0.0', contentBytes };
}

function pathOf({ path, version }: MadeUpModule, kind: 'info' | 'mod' | 'zip'): string {
  return `${path}/@v/${version}.${kind}`;
}

/** A place for a store, and how to take its room away and give it back. */
type Place = {
  readonly directory: string;
  takeRoom(astera: Astera): Promise<void>;
  giveRoom(astera: Astera): Promise<void>;
};

const ways: readonly {
  readonly why: string;
  /** Undefined where this machine does not allow it. */
  readonly place: (t: TestContext) => Promise<Place | undefined>;
  /** The server has noticed it before the large zip is asked for. */
  readonly isBefore?: boolean;
}[] = [
  {
    why: 'a small disk whose reserve is reached',
    isBefore: true,
    place: (t) =>
      onTmpfs(t, async (directory) => {
        const { bavail, bsize } = await statfs(directory);
        await writeFile(join(directory, 'ballast'), Buffer.alloc(bavail * bsize - 5 * MIB, 1));
      }),
  },
  {
    why: 'a small disk that is full to the last byte in the middle of a download',
    place: (t) => onTmpfs(t, fillUp),
  },
  { why: 'a file-size limit in the middle of a download', place: limited },
];

for (const { why, place, isBefore = false } of ways) {
  test(why, { timeout: 60_000 }, async (t) => {
    const where = await place(t);
    if (where === undefined) return t.diagnostic('mounting is not allowed here: the file-size limit must do');
    const upstream = await LocalUpstream.start({ madeUp: [kept, large, late] });
    t.after(() => upstream.close());
    const astera = await Astera.start({
      ...{ upstream: upstream.url, db: join(where.directory, 'a.db') },
      flags: ['--verify', 'off', '--cache-memory', '0B', '--cache-weak', '0B'],
    });
    t.after(() => astera.dispose());

    await assertServed(astera, kept);
    assert.deepEqual(storedOf(astera, kept), ['info', 'mod', 'zip'], 'a small disk is used at first');

    if (isBefore) {
      await where.takeRoom(astera);
      await until(async () => (await astera.get('readyz')).status === 503);
      const { headers } = await ask(`${astera.url}/${pathOf(late, 'zip')}`);
      assert.equal(headers['cache-status'], 'astera; fwd=miss; detail=upstream', 'it is not stored');
    }
    await assertPassedThrough(astera, upstream, isBefore ? undefined : () => where.takeRoom(astera));
    await assertServed(astera, kept);
    await assertServed(astera, late);
    assert.deepEqual(storedOf(astera, large), [], 'nothing that large is stored');
    await until(async () => (await astera.get('readyz')).status === 503);
    assert.match(await (await astera.get('readyz')).text(), /^(disk is full|cannot use store)[^\n]*\n$/);
    assert.equal((await astera.get('healthz')).status, 200);
    await astera.logged(/disk is full|SQLITE_FULL|SQLITE_IOERR/);

    await where.giveRoom(astera);
    await until(async () => (await astera.get('readyz')).status === 200);
    await assertServed(astera, large);
    await assertServed(astera, late);
    for (const module of [kept, large, late]) {
      assert.deepEqual(storedOf(astera, module), ['info', 'mod', 'zip'], module.path);
    }
    await astera.stop();
    assertWhole(astera.db);
  });
}

test('with --max-size old zips make room on a disk that others fill, and storing never stops', {
  timeout: 120_000,
}, async (t) => {
  const place = await onTmpfs(t, leaveLittle);
  if (place === undefined) return t.diagnostic('mounting is not allowed here');
  const many = Array.from({ length: 30 }, (_, at) => noise(`many/m${at}`, MIB));
  const upstream = await LocalUpstream.start({ madeUp: [...many, late] });
  t.after(() => upstream.close());
  const astera = await Astera.start({
    ...{ upstream: upstream.url, db: join(place.directory, 'a.db') },
    flags: ['--verify', 'off', '--max-size', '50MB'],
  });
  t.after(() => astera.dispose());
  for (const module of many) await assertServed(astera, module);
  const evicted = async () => (await astera.metrics()).get('astera_evicted_files_total{kind="zip"}') ?? 0;
  assert.equal(await evicted(), 0, 'nothing goes as long as there is room');

  await place.takeRoom(astera);
  await until(async () => {
    assert.equal((await astera.get('readyz')).status, 200);
    return (await evicted()) > 0;
  });
  await assertServed(astera, late);
  await until(async () => storedOf(astera, late).length === 3);
  const { bavail, bsize } = await statfs(place.directory);
  assert.ok(bavail * bsize > RESERVE_BYTES, `${bavail * bsize} bytes are free`);
  await astera.stop();
  assertWhole(astera.db);
});

for (const verify of ['store', 'strict']) {
  test(`--verify=${verify}: a forged zip gets past no check because the disk fills`, {
    timeout: 60_000,
  }, async (t) => {
    const place = (await onTmpfs(t, fillUp)) ?? (await limited(t));
    const database = await startSumdbServer({ records: 10 });
    t.after(() => database.close());
    await database.ask({ Cmd: 'add', Texts: [await sumLines(large), await sumLines(late)] });
    const forged = { ...large, contentBytes: large.contentBytes + 1 };
    const [upstream, sums] = [
      await LocalUpstream.start({ madeUp: [forged, late] }),
      await LyingUpstream.start([], { database }),
    ];
    t.after(() => Promise.all([upstream.close(), sums.close()]));
    const astera = await Astera.start({
      ...{ upstream: `${upstream.url},${sums.url}`, db: join(place.directory, 'a.db') },
      flags: ['--verify', verify, '--sumdb', database.verifierKey, '--negative-ttl', '1ms'],
    });
    t.after(() => astera.dispose());

    const url = `${astera.url}/${pathOf(large, 'zip')}`;
    const release = upstream.hold(pathOf(large, 'zip'), 18 * MIB);
    const first = ask(url);
    await until(async () => Number(query(astera.db, 'SELECT count(*) FROM chunk')[0]) >= 64);
    await place.takeRoom(astera);
    release();
    const answers = [await first, await ask(url)];
    for (const { status, isWhole } of answers) assert.ok(status >= 500 || !isWhole, `${status}, ${isWhole}`);
    if (verify === 'strict') assert.ok(answers.every(({ status }) => status >= 500));

    await place.giveRoom(astera);
    await until(async () => (await astera.get('readyz')).status === 200);
    await assertServed(astera, late);
    const { status, isWhole } = await ask(url);
    assert.ok(status === 502 || !isWhole, 'it is found out when there is room');
    await until(async () => astera.log.includes("the checksum database's"));
  });
}

/** All three files, byte for byte. */
async function assertServed(astera: Astera, module: MadeUpModule): Promise<void> {
  const files = madeUpFiles(module);
  for (const kind of ['info', 'mod', 'zip'] as const) {
    const { status, body, isWhole } = await ask(`${astera.url}/${pathOf(module, kind)}`);
    assert.ok(
      status === 200 && isWhole && files[kind].equals(body),
      `${kind}: ${status}, ${body.length} bytes`,
    );
  }
}

/** Forty clients of one zip that can't be stored; the upstream waits with its second MiB until all are there. */
async function assertPassedThrough(
  astera: Astera,
  upstream: LocalUpstream,
  takeRoom = async () => {},
): Promise<void> {
  const wanted = madeUpFiles(large).zip;
  upstream.resetCounters();
  const release = upstream.hold(pathOf(large, 'zip'), MIB);
  const all = Array.from({ length: CLIENTS }, () => ask(`${astera.url}/${pathOf(large, 'zip')}`));
  await until(async () => {
    const joined = (await astera.metrics()).get('astera_singleflight_joined_total') ?? 0;
    return joined >= CLIENTS - 1;
  });
  await takeRoom();
  release();
  for (const { status, body, isWhole } of await Promise.all(all)) {
    assert.ok(
      status === 200 && isWhole && wanted.equals(body),
      `${status}, ${body.length} bytes, ${isWhole}`,
    );
  }
  assert.equal(upstream.count(pathOf(large, 'zip')), 1, 'one download for all');
}

/** Which files of a module are whole in the store, by their content. */
function storedOf(astera: Astera, module: MadeUpModule): string[] {
  const files = madeUpFiles(module);
  return (['info', 'mod', 'zip'] as const).filter((kind) => {
    const sql = `SELECT lower(hex(sha256)) FROM entry WHERE status = 200 AND key = '${pathOf(module, kind)}'`;
    return query(astera.db, sql)[0] === sha256Of(files[kind]);
  });
}

/** A tmpfs of its own; undefined where that is not allowed. */
async function onTmpfs(
  t: TestContext,
  fill: (directory: string) => Promise<void>,
): Promise<Place | undefined> {
  const directory = await mkdtemp(join(tmpdir(), 'astera-disk-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK_BYTES}`, 'none', directory], {
      stdio: 'ignore',
    });
  } catch {
    await rm(directory, { recursive: true });
    return undefined;
  }
  t.after(async () => {
    execFileSync('umount', ['--lazy', directory]);
    await rm(directory, { recursive: true });
  });
  return {
    directory,
    takeRoom: () => fill(directory),
    giveRoom: () => rm(join(directory, 'ballast')),
  };
}

/** So little that Astera makes room, and not so little that it stores nothing. */
async function leaveLittle(directory: string): Promise<void> {
  const { bavail, bsize } = await statfs(directory);
  await writeFile(join(directory, 'ballast'), Buffer.alloc(bavail * bsize - 1.6 * RESERVE_BYTES, 1));
}

/** All that is free, and what the server frees meanwhile. */
async function fillUp(directory: string): Promise<void> {
  const { bavail, bsize } = await statfs(directory);
  await writeFile(join(directory, 'ballast'), Buffer.alloc((bavail + 1) * bsize, 1)).catch(
    (error: unknown) => {
      assert.equal((error as NodeJS.ErrnoException).code, 'ENOSPC');
    },
  );
}

/** The server may write no file beyond what it has now; only the soft limit, which can be lifted again. */
async function limited(t: TestContext): Promise<Place> {
  const directory = await mkdtemp(join(tmpdir(), 'astera-limit-'));
  t.after(() => rm(directory, { recursive: true }));
  const limit = (astera: Astera, bytes: number | 'unlimited') => {
    execFileSync('prlimit', ['--pid', String(astera.pid), `--fsize=${bytes}:`]);
  };
  return {
    directory,
    takeRoom: async (astera) => limit(astera, 64 * 1024),
    giveRoom: async (astera) => limit(astera, 'unlimited'),
  };
}

async function until(isTrue: () => Promise<boolean>): Promise<void> {
  while (!(await isTrue())) await delay(50);
}
