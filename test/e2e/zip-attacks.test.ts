// Goal: a zip made to hurt its checker hurts nobody: it is refused with a line that says why, in bounded
// memory and time, leaves nothing in the store, and the next zip is served as ever; with the checksum
// database and without.
// Method: a real server whose upstream has one such zip after the other, most of what x/mod's own
// rules know of attacks; its peak memory is asked of the kernel.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { constants, deflateRawSync } from 'node:zlib';
import { makeZip, type TestEntry, type TestZip } from '../modzip/zip-writer.ts';
import { Astera } from '../support/astera.ts';
import { dumpStore } from '../support/dump-store.ts';
import { GoClient } from '../support/go.ts';
import { LyingUpstream } from '../support/lying-upstream.ts';
import { type MadeUpModule, madeUpFiles } from '../support/module-zip.ts';
import { type SumdbServer, startSumdbServer } from '../support/sumdb-server.ts';

const MiB = 1024 * 1024;
const PATH = 'evil.example/x';
const PREFIX = `${PATH}@v1.0.0/`;
const honest: MadeUpModule = { path: 'made-up.example/a', version: 'v1.0.0', contentBytes: 600_000 };

const f = (name: string, more: Partial<TestEntry> = {}): TestEntry => ({
  name: `${PREFIX}${name}`,
  content: `in ${name}\n`,
  ...more,
});

/** A deflate stream of 1 MB for each KB: so many MiB of zeros, never held by who makes it. */
function zeros(mebibytes: number): Buffer {
  const block = deflateRawSync(Buffer.alloc(MiB), { finishFlush: constants.Z_FULL_FLUSH });
  return Buffer.concat([...Array<Buffer>(mebibytes).fill(block), Buffer.from([3, 0])]);
}

/** 10 GB where its directory says what `bytes` is. */
const bomb = (bytes: number): TestEntry => f('bomb', { body: zeros(10_240), bytes, crc: 0 });

/** A million central headers, in a directory that is just not too large by itself. */
function millionEntries(): Buffer {
  const [path, version] = ['a.b/c', 'v1.0.0'];
  const name = `${path}@${version}/0000000`;
  const one = makeZip([{ name, content: '' }]);
  const local = one.indexOf('PK\x01\x02');
  const header = one.subarray(local, one.length - 22);
  const directory = Buffer.alloc(header.length * 1_000_000, header);
  for (let n = 0; n < 1_000_000; n++) directory.write(String(n).padStart(7, '0'), n * header.length + 59);
  const end = Buffer.from(one.subarray(-22));
  end.writeUInt16LE(1_000_000 % 0x10000, 8);
  end.writeUInt16LE(1_000_000 % 0x10000, 10);
  end.writeUInt32LE(directory.length, 12);
  return Buffer.concat([one.subarray(0, local), directory, end]);
}

type Attack = {
  readonly why: string;
  readonly says: RegExp;
  readonly entries?: readonly TestEntry[];
  readonly zip?: TestZip;
  readonly bytes?: () => Buffer;
  readonly key?: string;
  /** Only who reads the content sees it: without the database it goes by. */
  readonly isInside?: true;
};

const attacks: readonly Attack[] = [
  {
    why: '10 GB out of 10 KB, said openly',
    entries: [f('a', { body: zeros(10), bytes: 10_240 * MiB, zip64: true })],
    says: /content of more than 524288000 bytes/,
  },
  {
    why: '10 GB out of 10 KB, by entries that share their body',
    entries: Array.from({ length: 1000 }, (_, n) =>
      f(`${n}`, { body: n === 0 ? zeros(10) : Buffer.alloc(0), bytes: 10 * MiB, headerOffset: 0 }),
    ),
    says: /entries overlap|entry with two names/,
  },
  { why: '10 GB said to be 10 bytes', entries: [bomb(10)], says: /longer than declared/, isInside: true },
  {
    why: '10 GB said to be 400 MB',
    entries: [bomb(400 * MiB)],
    says: /longer than declared/,
    isInside: true,
  },
  {
    why: 'a million entries',
    bytes: millionEntries,
    key: 'a.b/c/@v/v1.0.0.zip',
    says: /more than 200000 entries/,
  },
  { why: 'a million entries claimed', zip: { zip64: 'only', claimedEntries: 1e6 }, says: /more than 200000/ },
  {
    why: 'an entry that reaches into the next',
    entries: [f('a', { method: 0, bytes: 30, bodyBytes: 30 }), f('b')],
    says: /entries overlap/,
  },
  { why: 'a name that goes up', entries: [f('../../../etc/passwd')], says: /path element of dots/ },
  { why: 'a name from the root', entries: [{ name: '/etc/passwd' }], says: /entry outside/ },
  { why: 'one name twice', entries: [f('a.go'), f('a.go')], says: /two entries for one file/ },
  { why: 'names that differ by case', entries: [f('a.go'), f('A.go')], says: /differs by case only/ },
  { why: 'deep names', entries: deepNames(), says: /more than 500000 files and directories/ },
  {
    why: 'a wrong CRC',
    entries: [f('a.go', { crc: 7 })],
    says: /does not have its checksum/,
    isInside: true,
  },
  { why: 'encrypted', entries: [f('a.go', { flags: 1 })], says: /encrypted entry/ },
  {
    why: 'zip64 that tells another story',
    entries: [f('a.go')],
    zip: { zip64: 'beside', claimedEntries: 2 },
    says: /1 entries where the end record says 2/,
  },
  {
    why: 'zip64 sizes past any file',
    entries: [f('a.go', { zip64: true, bodyBytes: 2 ** 60 })],
    says: /entry outside the file/,
  },
  { why: 'no zip', zip: { trailing: Buffer.alloc(70_000) }, says: /no end of central directory/ },
];

/** Few and short enough by every bound but that of the directories they make. */
function deepNames(): TestEntry[] {
  return Array.from({ length: 400 }, (_, n) => f(`${n}/${'a/'.repeat(1900)}b`));
}

let db: SumdbServer;
before(async () => {
  db = await startSumdbServer({ records: 0 });
});
after(() => db.close());

/** The most memory a process ever had, mapped files and all. */
function peakBytes(pid: number): number {
  const [, kilobytes] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kilobytes) * 1024;
}

for (const mode of ['store', 'off'] as const) {
  test(`--verify=${mode}: zips that attack their checker`, async (t) => {
    const upstream = await LyingUpstream.start([honest], { database: db });
    t.after(() => upstream.close());
    const astera = await Astera.start({
      upstream: upstream.url,
      flags: ['--verify', mode, '--sumdb', db.verifierKey, '--negative-ttl', '0s'],
    });
    t.after(() => astera.dispose());
    await (await astera.get(`${honest.path}/@v/v1.0.0.zip`)).arrayBuffer();
    for (const attack of attacks) {
      const { why, says, entries = [], zip, isInside = false } = attack;
      const key = attack.key ?? `${PATH}/@v/v1.0.0.zip`;
      const bytes = attack.bytes?.() ?? makeZip(entries, zip);
      upstream.alter = (path, truth) => (path === key ? bytes : truth);
      if (isInside && mode === 'off') continue;
      const told = astera.log.length;
      const answer = await astera.get(key);
      // One that is larger than a chunk has begun to go out when it is found out: its client sees a cut.
      if (answer.status === 200) await assert.rejects(answer.arrayBuffer(), why);
      else
        assert.match(`${answer.status} ${await answer.text()}`, new RegExp(`^502 .*(${says.source})`), why);
      while (!says.test(astera.log.slice(told))) await setImmediate();
    }
    assert.ok(peakBytes(astera.pid) < 700 * MiB, `${peakBytes(astera.pid) / MiB} MiB`);
    assert.equal((await astera.get('readyz')).status, 200);
    const answer = await astera.get(`${honest.path}/@v/v1.0.0.zip`);
    assert.ok(madeUpFiles(honest).zip.equals(Buffer.from(await answer.arrayBuffer())));
    assert.equal((await astera.metrics()).get('astera_worker_deaths_total'), 0);
    await astera.stop();
    const { entries, blobs } = dumpStore(astera.db);
    const kept = entries.map(({ key }) => key).filter((key) => !key.startsWith('sumdb/'));
    assert.deepEqual(kept, [`${honest.path}/@v/v1.0.0.zip`]);
    assert.equal(blobs.length, 1);
  });
}

test('--verify=off: what only its content betrays goes by uninflated, for the client to refuse', async (t) => {
  const upstream = await LyingUpstream.start([]);
  t.after(() => upstream.close());
  const astera = await Astera.start({ upstream: upstream.url, flags: ['--verify', 'off'] });
  t.after(() => astera.dispose());
  const { info, mod } = madeUpFiles({ path: PATH, version: 'v1.0.0', contentBytes: 0 });
  for (const { why, entries, isInside } of attacks) {
    if (isInside !== true) continue;
    const zip = makeZip(entries ?? []);
    upstream.alter = (path) => {
      if (!path.startsWith(`${PATH}/@v/v1.0.0`)) return undefined;
      return path.endsWith('.zip') ? zip : path.endsWith('.mod') ? mod : info;
    };
    const client = await GoClient.create(astera.url);
    t.after(() => client.dispose());
    const { code, stderr } = await client.run('mod', 'download', `${PATH}@v1.0.0`);
    assert.notEqual(code, 0, why);
    assert.match(
      stderr,
      /zip: (checksum error|not a valid zip file)|uncompressed size .* too large|unexpected/i,
    );
  }
  assert.ok(peakBytes(astera.pid) < 500 * MiB, `${peakBytes(astera.pid) / MiB} MiB`);
});
