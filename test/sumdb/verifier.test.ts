// Goal: the verifier accepts every answer of x/mod's own checksum database, and no altered one. A refused answer leaves
// no trace.
// Method: testdb behind an ops object that can alter, count and delay each answer. Each attack starts from a verifier
// that trusts an honest tree head. The test compares the store before and after.

import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { BadRequest, CheckFailed, NotFound, StoreFailed, UpstreamDown } from '../../src/core/errors.ts';
import { parseModulePath } from '../../src/core/module-path.ts';
import { parseVersion } from '../../src/core/version.ts';
import { SUMDB_TILES_TRUSTED_MAX } from '../../src/sumdb/limits.ts';
import { parseVerifierKey } from '../../src/sumdb/note.ts';
import type { SumdbOps } from '../../src/sumdb/sumdb-ops.ts';
import { cutTile, parseTilePath, type Tile, tilePath } from '../../src/sumdb/tile.ts';
import { edgeTiles, recordTiles, treeTiles } from '../../src/sumdb/tile-plan.ts';
import { type ModuleVersion, SumdbVerifier } from '../../src/sumdb/verifier.ts';
import { type SumdbServer, startSumdbServer } from '../support/sumdb-server.ts';

const RECORDS = 3000;

let go: SumdbServer;
before(async () => {
  go = await startSumdbServer({ records: RECORDS });
});
// Each test starts with the same honest tree.
beforeEach(() => go.ask({ Cmd: 'fork', At: 0, N: RECORDS }));
after(() => go.close());

/** The operations of one Astera: a store in memory, and a line that a test can alter. */
class World implements SumdbOps {
  readonly tiles = new Map<string, Uint8Array>();
  readonly asked: string[] = [];
  readonly events: string[] = [];
  readonly saved: string[] = [];
  readonly written: string[] = [];
  #isSaving = false;
  head: Uint8Array | undefined;
  alter: (path: string, bytes: Uint8Array) => Uint8Array | Promise<Uint8Array> = (_, bytes) => bytes;

  async readRemote(path: string): Promise<Uint8Array> {
    this.asked.push(path);
    return this.alter(path, await go.fetch(path));
  }
  async readCache(tile: Tile): Promise<Uint8Array | undefined> {
    return this.tiles.get(tilePath(tile)) ?? this.tiles.get(tilePath({ ...tile, width: 256 }));
  }
  async writeCache(tile: Tile, bytes: Uint8Array): Promise<void> {
    this.written.push(tilePath(tile));
    this.tiles.set(tilePath(tile), Uint8Array.from(bytes));
  }
  async loadHead(): Promise<Uint8Array | undefined> {
    return this.head;
  }
  async saveHead(note: Uint8Array): Promise<void> {
    assert.ok(!this.#isSaving, 'one head is saved at a time');
    this.#isSaving = true;
    await setImmediate();
    this.#isSaving = false;
    this.head = note;
    this.saved.push(sizeIn(note));
  }
  securityEvent(message: string): void {
    this.events.push(message);
  }
  /** The whole store, for comparison. */
  get kept(): unknown {
    const tiles = [...this.tiles].map(([path, bytes]) => [path, Buffer.from(bytes).toString('base64')]);
    return { tiles, head: this.head && Buffer.from(this.head).toString() };
  }
}

const sizeIn = (note: Uint8Array): string => Buffer.from(note).toString().split('\n')[1] ?? '';
const verifierOf = (world: SumdbOps): SumdbVerifier =>
  new SumdbVerifier(parseVerifierKey(go.verifierKey), world);
const recordOf = (id: number): ModuleVersion => {
  const version = parseVersion('v1.0.0');
  assert.ok(version !== undefined);
  return { module: parseModulePath(`example.com/m${id}`), version };
};
const grow = (n: number): Promise<unknown> => go.ask({ Cmd: 'grow', N: n });
const edit = (bytes: Uint8Array, what: string | RegExp, by: string): Uint8Array => {
  const changed = Buffer.from(bytes).toString().replace(what, by);
  assert.notEqual(changed, Buffer.from(bytes).toString(), 'the attack changes nothing');
  return Buffer.from(changed);
};
const flip = (bytes: Uint8Array, at: number): Uint8Array => bytes.with(at, (bytes.at(at) ?? 0) ^ 1);

test('thousands of records of a growing tree are accepted, each with its own lines', async () => {
  const world = new World();
  const verifier = verifierOf(world);
  const believe = async (id: number, size: number): Promise<void> => {
    const { id: found, lines, text, head, answered } = await verifier.verifyLookup(recordOf(id));
    assert.equal(found, id);
    assert.deepEqual(lines, Buffer.from(text).toString().trimEnd().split('\n'));
    assert.ok(lines.length === 2 && lines.every((line) => line.startsWith(`example.com/m${id} v1.0.0`)));
    assert.deepEqual([head.size, answered.size], [size, size]);
  };
  for (let from = 0, size = RECORDS; from < RECORDS; from += 50) {
    if (from % 500 === 450) size = (await grow(137)) as number;
    await Promise.all(Array.from({ length: 50 }, (_, at) => believe(from + at, size)));
  }
  assert.deepEqual(world.saved, ['3000', '3137', '3274', '3411', '3548', '3685', '3822']);
  assert.deepEqual(world.events, []);
  assert.equal(new Set(world.asked).size, world.asked.length, 'nothing is fetched twice');
  assert.equal(new Set(world.written).size, world.written.length, 'nothing is written twice');
});

test('only the tiles that prove a record are fetched, and none twice by concurrent verifications', async () => {
  const world = new World();
  const verifier = verifierOf(world);
  await Promise.all(Array.from({ length: 50 }, (_, id) => verifier.verifyLookup(recordOf(id * 17))));
  const tiles = world.asked.filter((path) => path.startsWith('tile/'));
  const needed = Array.from({ length: 50 }, (_, id) => recordTiles(RECORDS, id * 17).map(tilePath)).flat();
  assert.deepEqual(tiles.sort(), [...new Set(needed)].sort());
  assert.deepEqual([...world.tiles.keys()].sort(), tiles);
});

test('the planned tiles are enough to prove records and older tree heads without the line', async () => {
  const ids = [0, 255, 256, 1777, RECORDS - 1];
  const answers = await Promise.all(ids.map((id) => go.fetch(`lookup/example.com/m${id}@v1.0.0`)));
  await grow(1500);
  const newest = await go.fetch('latest');
  const size = RECORDS + 1500;
  const world = new World();
  for (const tile of [
    edgeTiles(size),
    treeTiles(size, RECORDS),
    ...ids.map((id) => recordTiles(size, id)),
  ].flat()) {
    world.tiles.set(tilePath(tile), await go.fetch(tilePath(tile)));
  }
  world.alter = () => assert.fail('goes out');
  const verifier = verifierOf(world);
  assert.equal((await verifier.verifyHead(newest)).size, size);
  for (const [at, id] of ids.entries()) {
    const {
      id: found,
      head,
      answered,
    } = await verifier.verifyAnswer(recordOf(id), answers[at] ?? new Uint8Array());
    assert.deepEqual([found, head.size, answered.size], [id, size, RECORDS]);
  }
  assert.deepEqual(world.asked, []);
});

/** The attacks. `by` is another world than ours; `alter` changes an answer. */
type Attack = {
  why: string;
  error: RegExp;
  isEvent: boolean;
  /** Before the attacked lookup of record 700, which the honest verifier has not seen. */
  alter: (path: string, bytes: Uint8Array) => Uint8Array | Promise<Uint8Array>;
  server?: () => Promise<unknown>;
};
const signed = async (text: string, others = 0, skip = false): Promise<Uint8Array> => {
  const Bytes = Buffer.from(text).toString('base64');
  return Buffer.from((await go.ask({ Cmd: 'sign', Bytes, N: others, Skip: skip })) as string, 'base64');
};
const isLookup = (path: string): boolean => path.startsWith('lookup/');
const isTile = (path: string): boolean => path.startsWith('tile/');
const recordIn = (answer: Uint8Array): string => `${Buffer.from(answer).toString().split('\n\n')[0]}\n\n`;
const resigned = async (answer: Uint8Array, text: string, others = 0, skip = false): Promise<Uint8Array> =>
  Buffer.concat([Buffer.from(recordIn(answer)), await signed(text, others, skip)]);
const noteText = (answer: Uint8Array): string => `${Buffer.from(answer).toString().split('\n\n')[1]}\n`;

const attacks: Attack[] = [
  {
    why: 'altered lookup text',
    error: /^cannot verify record 700: the tree of 3100 records has another/,
    isEvent: false,
    alter: (path, bytes) => (isLookup(path) ? edit(bytes, 'h1:A', 'h1:B') : bytes),
  },
  {
    why: 'the record of another module under its own number',
    error: /about another module/,
    isEvent: false,
    alter: (path, bytes) => (isLookup(path) ? go.fetch('lookup/example.com/m701@v1.0.0') : bytes),
  },
  {
    why: 'the number of another record',
    error: /^cannot verify record 701: /,
    isEvent: false,
    alter: (path, bytes) => (isLookup(path) ? edit(bytes, /^700/, '701') : bytes),
  },
  {
    why: 'a record number past the tree',
    error: /^cannot verify record 3100: the tree has 3100 records/,
    isEvent: false,
    alter: (path, bytes) => (isLookup(path) ? edit(bytes, /^700/, '3100') : bytes),
  },
  {
    why: 'a record number past any tree',
    error: /no record number/,
    isEvent: false,
    alter: (path, bytes) => (isLookup(path) ? edit(bytes, /^700/, '9007199254740993') : bytes),
  },
  {
    why: 'an altered tile at the edge',
    error: /^cannot verify tiles: the right edge hashes to/,
    isEvent: false,
    alter: (path, bytes) => (path === 'tile/8/1/000.p/12' ? flip(bytes, 5) : bytes),
  },
  {
    why: 'an altered tile below the edge',
    error: /^cannot verify tile: its parent tile\/8\/1\/000.p\/12 has another hash: "tile\/8\/0\/002"/,
    isEvent: false,
    alter: (path, bytes) => (path === 'tile/8/0/002' ? flip(bytes, 8191) : bytes),
  },
  {
    why: 'a truncated tile',
    error: /^cannot verify tile: 8160 bytes where it has 8192: "tile\/8\/0\/002"/,
    isEvent: false,
    alter: (path, bytes) => (path === 'tile/8/0/002' ? bytes.subarray(0, -32) : bytes),
  },
  {
    why: 'a tile too long',
    error: /^cannot verify tile: 8193 bytes where it has 8192/,
    isEvent: false,
    alter: (path, bytes) => (path === 'tile/8/0/002' ? Buffer.concat([bytes, Buffer.alloc(1)]) : bytes),
  },
  {
    why: 'empty tiles',
    error: /^cannot verify tile: 0 bytes/,
    isEvent: false,
    alter: (path, bytes) => (isTile(path) ? new Uint8Array() : bytes),
  },
  {
    why: 'a tile of zeros in the place of each',
    error: /^cannot verify tiles?: /,
    isEvent: false,
    alter: (path, bytes) => (isTile(path) ? new Uint8Array(bytes.length) : bytes),
  },
  {
    why: 'a signature by another key',
    error: /no signature by sumdb\.example\+.*known head 3000 records ".*answered 3100 records "/,
    isEvent: true,
    alter: (path, bytes) => (isLookup(path) ? resigned(bytes, noteText(bytes), 1, true) : bytes),
  },
  {
    why: 'a signature of another text',
    error: /bad signature by sumdb\.example\+.*known head 3000 records ".*answered 3200 records "/,
    isEvent: true,
    alter: (path, bytes) => (isLookup(path) ? edit(bytes, '\n3100\n', '\n3200\n') : bytes),
  },
  {
    why: 'more signatures than a note may have',
    error: /malformed/,
    isEvent: false,
    alter: (path, bytes) => (isLookup(path) ? resigned(bytes, noteText(bytes), 100) : bytes),
  },
  {
    why: 'a signed text that is no tree head',
    error: /^cannot parse tree head/,
    isEvent: false,
    alter: (path, bytes) => (isLookup(path) ? resigned(bytes, 'hello\n') : bytes),
  },
  {
    why: 'a larger tree that no tile supports, its head signed',
    error: /^cannot verify tiles: the right edge hashes to/,
    isEvent: false,
    alter: (path, bytes) =>
      isLookup(path) ? resigned(bytes, noteText(bytes).replace('3100', '3090')) : bytes,
  },
  {
    why: 'a larger tree with another past, all of it signed and consistent in itself',
    error: /fork: known 3000 records ".*", answered 3200 records ".*", where the first 3000 records/,
    isEvent: true,
    server: () => go.ask({ Cmd: 'fork', At: 800, N: 2400, Salt: 'x' }),
    alter: (_, bytes) => bytes,
  },
  {
    why: 'a tree of the same size with another past',
    error: /fork: known 3000 records ".*", answered 3000 records "/,
    isEvent: true,
    server: () => go.ask({ Cmd: 'fork', At: 2999, N: 1, Salt: 'x' }),
    alter: (_, bytes) => bytes,
  },
  {
    why: 'a smaller tree with another past',
    error: /fork: known 3000 records ".*", answered 2900 records "/,
    isEvent: true,
    alter: async (path, bytes) => {
      if (!isLookup(path)) return bytes;
      await go.ask({ Cmd: 'fork', At: 800, N: 2100, Salt: 'x' });
      const forked = await go.fetch(path);
      await go.ask({ Cmd: 'fork', At: 0, N: RECORDS });
      return forked;
    },
  },
  {
    why: 'a page of HTML',
    error: /^cannot parse record: malformed/,
    isEvent: false,
    alter: () => Buffer.from('<html>log in</html>\n'),
  },
  { why: 'nothing', error: /^cannot parse record/, isEvent: false, alter: () => new Uint8Array() },
];

for (const { why, error, isEvent, alter, server } of attacks) {
  test(`refused without a trace: ${why}`, async () => {
    const world = new World();
    const verifier = verifierOf(world);
    await verifier.verifyLookup(recordOf(5));
    const kept = world.kept;
    const trusted = await verifier.head();
    await (server?.() ?? grow(100));
    world.alter = alter;
    await assert.rejects(verifier.verifyLookup(recordOf(700)), (thrown) => {
      assert.ok(thrown instanceof CheckFailed, String(thrown));
      assert.match(thrown.message.replace(/^checksum database sumdb\.example: cannot [a-z ]+: /, ''), error);
      assert.doesNotMatch(thrown.message, /[\r\n]/);
      // The client is not told the operator's way out.
      const wayOut = '; if it was rebuilt and you trust it, run: astera forget --sumdb sumdb.example';
      const event = thrown.message.includes(': fork: ') ? `${thrown.message}${wayOut}` : thrown.message;
      assert.deepEqual(world.events, isEvent ? [event] : []);
      return true;
    });
    assert.deepEqual(world.kept, kept);
    assert.equal(await verifier.head(), trusted);

    // The same verifier then accepts an honest database.
    world.alter = (_, bytes) => bytes;
    await go.ask({ Cmd: 'fork', At: 0, N: RECORDS + 100 });
    assert.equal((await verifier.verifyLookup(recordOf(700))).head.size, RECORDS + 100);
  });
}

test('a kept tree head stays as it was verified, even if the caller changes the answer', async () => {
  const world = new World();
  const verifier = verifierOf(world);
  const answer = await go.fetch('lookup/example.com/m9@v1.0.0');
  const { answered } = await verifier.verifyAnswer(recordOf(9), answer);
  answer.fill(0);
  assert.equal(sizeIn(answered.note), '3000');
  assert.equal(sizeIn(world.head ?? answer), '3000');
});

test('unknown signatures beside the right one change nothing', async () => {
  const world = new World();
  world.alter = (path, bytes) => (isLookup(path) ? resigned(bytes, noteText(bytes), 99) : bytes);
  assert.equal((await verifierOf(world).verifyLookup(recordOf(3))).id, 3);
});

test('an older tree head on the same timeline is no attack, and the stored one does not go back', async () => {
  const world = new World();
  const verifier = verifierOf(world);
  const older = await go.fetch('lookup/example.com/m9@v1.0.0');
  const olderHead = await go.fetch('latest');
  await grow(700);
  await verifier.verifyLookup(recordOf(3100));
  const { answered, head } = await verifier.verifyAnswer(recordOf(9), older);
  assert.deepEqual([answered.size, head.size], [3000, 3700]);
  assert.equal((await verifier.verifyHead(olderHead)).size, 3700);
  assert.deepEqual(world.saved, ['3700']);
});

test('a verifier starts from the stored tree head, and refuses a fork of it', async () => {
  const world = new World();
  await verifierOf(world).verifyLookup(recordOf(5));
  await go.ask({ Cmd: 'fork', At: 10, N: 4000, Salt: 'x' });
  const verifier = verifierOf(world);
  assert.equal((await verifier.head())?.size, RECORDS);
  await assert.rejects(verifier.verifyLookup(recordOf(5)), CheckFailed);
  assert.equal(world.events.length, 1);
});

test('a stored tree head that the key did not sign is refused until it is replaced', async () => {
  const world = new World();
  world.head = await signed(noteText(await go.fetch('lookup/example.com/m1@v1.0.0')), 1, true);
  const verifier = verifierOf(world);
  await assert.rejects(verifier.head(), CheckFailed);
  await assert.rejects(verifier.verifyLookup(recordOf(5)), CheckFailed);
  world.head = undefined;
  assert.equal((await verifier.verifyLookup(recordOf(5))).id, 5);
});

test('concurrent tree heads all count, and are saved in the order of their size', async () => {
  const world = new World();
  const verifier = verifierOf(world);
  const answers: Uint8Array[] = [];
  for (let at = 0; at < 12; at++) {
    answers.push(await go.fetch(`lookup/example.com/m${at * 3}@v1.0.0`));
    await grow(100 + at);
  }
  const shuffled = [7, 2, 11, 0, 9, 4, 1, 10, 3, 8, 6, 5];
  const all = shuffled.map((at) => verifier.verifyAnswer(recordOf(at * 3), answers[at] ?? new Uint8Array()));
  const verified = await Promise.all(all);
  const largest = Math.max(...verified.map(({ answered }) => answered.size));
  assert.equal((await verifier.head())?.size, largest);
  assert.equal(sizeIn(world.head ?? new Uint8Array()), String(largest));
  assert.deepEqual(
    world.saved.map(Number),
    world.saved.map(Number).sort((a, b) => a - b),
  );
  for (const { answered, head } of verified) assert.ok(head.size >= answered.size);
});

test('of two concurrent forked tree heads one is kept and the other refused', async () => {
  const world = new World();
  const verifier = verifierOf(world);
  const honest = await go.fetch('latest');
  await go.ask({ Cmd: 'fork', At: 2990, N: 10, Salt: 'x' });
  const forked = await go.fetch('latest');
  // There is no earlier head to compare them with. Only the later one can notice the fork.
  const [one, other] = await Promise.allSettled([verifier.verifyHead(honest), verifier.verifyHead(forked)]);
  assert.deepEqual([one.status, other.status], ['fulfilled', 'rejected']);
  assert.equal(world.events.length, 1);
  assert.deepEqual(world.head, honest);
  assert.deepEqual((await verifier.head())?.note, honest);
});

test('a partial tile that is gone is cut from the full one', async () => {
  const world = new World();
  const answer = await go.fetch('lookup/example.com/m2999@v1.0.0');
  world.readRemote = async (path) => {
    world.asked.push(path);
    if (path.includes('.p/') && path.startsWith('tile/8/0/')) throw new NotFound(path);
    return go.fetch(path);
  };
  await grow(256);
  const { head } = await verifierOf(world).verifyAnswer(recordOf(2999), answer);
  assert.equal(head.size, RECORDS);
  assert.deepEqual(
    world.asked.filter((path) => path.startsWith('tile/8/0/')),
    ['tile/8/0/011.p/184', 'tile/8/0/011'],
  );
});

test('when neither tile can be fetched, the error is that of the requested tile', async () => {
  const world = new World();
  const answer = await go.fetch('lookup/example.com/m2999@v1.0.0');
  world.readRemote = (path) => Promise.reject(new NotFound(path));
  await assert.rejects(
    verifierOf(world).verifyAnswer(recordOf(2999), answer),
    (error) => error instanceof NotFound && error.message.includes('.p/'),
  );
  world.readRemote = (path) => {
    world.asked.push(path);
    return Promise.reject(new UpstreamDown(path));
  };
  await assert.rejects(verifierOf(world).verifyAnswer(recordOf(2999), answer), UpstreamDown);
  assert.ok(!world.asked.includes('tile/8/0/011'), 'a line that is down is not asked twice');
  assert.deepEqual(world.kept, new World().kept);
});

test('a damaged stored tile is fetched again and replaced', async () => {
  const world = new World();
  await verifierOf(world).verifyLookup(recordOf(700));
  const kept = world.kept;
  const damage = (path: string): void => {
    world.tiles.set(path, flip(world.tiles.get(path) ?? new Uint8Array(), 100));
  };
  for (const path of ['tile/8/0/002', 'tile/8/1/000.p/11']) {
    damage(path);
    assert.equal((await verifierOf(world).verifyLookup(recordOf(701))).id, 701, path);
    assert.deepEqual(world.kept, kept);
  }
  damage('tile/8/0/002');
  world.alter = (path, bytes) => {
    if (isTile(path)) throw new UpstreamDown(path);
    return bytes;
  };
  const cut = verifierOf(world).verifyLookup(recordOf(702));
  await assert.rejects(cut, CheckFailed, 'without the line, the damage is what is said');
});

test('a tile that was proven once is neither read nor fetched again, even if the store loses it', async () => {
  const world = new World();
  const verifier = verifierOf(world);
  await verifier.verifyLookup(recordOf(700));
  world.tiles.clear();
  world.readCache = () => assert.fail('reads the store');
  world.alter = (path, bytes) => (isTile(path) ? assert.fail('goes out') : bytes);
  assert.equal((await verifier.verifyLookup(recordOf(701))).id, 701);
});

test('a tile that was proven once does not hide a fork below a new tree head', async () => {
  // All tiles of the honest tree are in memory. The fork differs only within one full tile. Its other tiles come from
  // the fork.
  const world = new World();
  const verifier = verifierOf(world);
  for (let id = 0; id < RECORDS; id += 200) await verifier.verifyLookup(recordOf(id));
  const kept = world.kept;
  await go.ask({ Cmd: 'fork', At: 2900, N: 500, Salt: 'x' });
  await assert.rejects(verifier.verifyLookup(recordOf(5)), CheckFailed);
  await assert.rejects(verifier.verifyHead(await go.fetch('latest')), CheckFailed);
  assert.deepEqual(world.kept, kept);
  assert.equal(world.events.length, 2);
});

test('tiles over the limit in memory are read from the store again', async () => {
  const world = new World();
  const verifier = verifierOf(world);
  await verifier.verifyLookup(recordOf(0));
  // Each tree head has its own right edge, and the last tile there is new.
  for (let at = 0; at < SUMDB_TILES_TRUSTED_MAX; at++) {
    await grow(1);
    await verifier.verifyHead(await go.fetch('latest'));
  }
  const reads: string[] = [];
  const readCache = world.readCache;
  world.readCache = (tile) => {
    reads.push(tilePath(tile));
    return readCache.call(world, tile);
  };
  world.alter = (path, bytes) => (isTile(path) ? assert.fail('goes out') : bytes);
  await verifier.verifyLookup(recordOf(1));
  assert.deepEqual(reads, ['tile/8/0/000']);
  await verifier.verifyLookup(recordOf(2));
  assert.deepEqual(reads, ['tile/8/0/000'], 'and is in memory again');
});

test('a tile that could not be stored is stored by the next verification', async () => {
  const world = new World();
  const verifier = verifierOf(world);
  const writeCache = world.writeCache;
  world.writeCache = () => Promise.reject(new StoreFailed('full'));
  await assert.rejects(verifier.verifyLookup(recordOf(1)), StoreFailed);
  world.writeCache = writeCache;
  await verifier.verifyLookup(recordOf(2));
  assert.deepEqual([...world.tiles.keys()].sort(), recordTiles(RECORDS, 2).map(tilePath).sort());
});

test('a store that fails fails the verification, and the next one saves the head', async () => {
  const world = new World();
  const verifier = verifierOf(world);
  const saveHead = world.saveHead;
  world.saveHead = () => Promise.reject(new StoreFailed('full'));
  await assert.rejects(verifier.verifyLookup(recordOf(1)), StoreFailed);
  world.saveHead = saveHead;
  await verifier.verifyLookup(recordOf(2));
  assert.deepEqual(world.saved, ['3000']);
});

test('a single tile is proven, refused, or past the tree head', async () => {
  const world = new World();
  let verifier = verifierOf(world);
  const check = async (path: string, change = (bytes: Uint8Array): Uint8Array => bytes): Promise<boolean> =>
    verifier.verifyTile(parseTilePath(path), change(await go.fetch(path)));
  assert.equal(await check('tile/8/0/000'), false, 'no head yet');
  await verifier.verifyHead(await go.fetch('latest'));
  const paths = [
    'tile/8/0/000',
    'tile/8/0/003.p/7',
    'tile/8/0/011.p/184',
    'tile/8/0/011.p/1',
    'tile/8/1/000.p/11',
    'tile/8/1/000.p/3',
    'tile/8/data/000',
    'tile/8/data/004.p/9',
    'tile/8/data/011.p/184',
  ];
  for (const path of paths) {
    // From here on only the head is proven.
    world.tiles.clear();
    verifier = verifierOf(world);
    await assert.rejects(
      check(path, (bytes) => flip(bytes, 7)),
      CheckFailed,
      path,
    );
    await assert.rejects(
      check(path, (bytes) => bytes.subarray(0, -1)),
      CheckFailed,
      path,
    );
    await assert.rejects(
      check(path, (bytes) => Buffer.concat([bytes, bytes])),
      CheckFailed,
      path,
    );
    assert.equal(world.tiles.size, 0, path);
    assert.equal(await check(path), true, path);
    assert.ok(world.tiles.size > 0, path);
  }
  await grow(1000);
  for (const path of [
    'tile/8/0/011',
    'tile/8/0/011.p/185',
    'tile/8/0/012',
    'tile/8/1/000.p/12',
    'tile/8/data/011',
  ]) {
    assert.equal(await check(path), false, path);
  }
  await verifier.verifyHead(await go.fetch('latest'));
  assert.equal(await check('tile/8/0/012'), true);
  await assert.rejects(check('tile/4/0/000'), BadRequest);
  assert.deepEqual(world.events, []);
});

test('a given tile is not fetched again', async () => {
  const world = new World();
  const verifier = verifierOf(world);
  await verifier.verifyLookup(recordOf(5));
  const bytes = await go.fetch('tile/8/0/006');
  world.alter = () => assert.fail('goes out');
  assert.equal(await verifier.verifyTile(parseTilePath('tile/8/0/006'), bytes), true);
  assert.deepEqual(world.tiles.get('tile/8/0/006'), bytes);
  // The caller may use its bytes again; the verifier trusts a copy.
  bytes.fill(0);
  world.alter = (path, answer) => (isTile(path) ? assert.fail('goes out') : answer);
  assert.equal((await verifier.verifyLookup(recordOf(6 * 256))).id, 6 * 256);
});

test('the first record of the first tree, and an empty tree', async () => {
  await go.ask({ Cmd: 'fork', At: 0, N: 0 });
  const world = new World();
  const verifier = verifierOf(world);
  assert.equal((await verifier.verifyHead(await go.fetch('latest'))).size, 0);
  await grow(1);
  const { id, head } = await verifier.verifyLookup(recordOf(0));
  assert.deepEqual([id, head.size], [0, 1]);
  assert.deepEqual(world.saved, ['0', '1']);
});

test('the database’s 404 for a module is the answer', async () => {
  const world = new World();
  await assert.rejects(verifierOf(world).verifyLookup(recordOf(RECORDS)), NotFound);
  assert.deepEqual(world.asked, [`lookup/example.com/m${RECORDS}@v1.0.0`]);
});

test('a lookup with capitals is escaped', async () => {
  const Texts = ['example.com/Upper v1.0.0 h1:x=\nexample.com/Upper v1.0.0/go.mod h1:y=\n'];
  await go.ask({ Cmd: 'add', Texts });
  const { version } = recordOf(0);
  const found = await verifierOf(new World()).verifyLookup({
    module: parseModulePath('example.com/Upper'),
    version,
  });
  assert.equal(`${found.lines.join('\n')}\n`, Texts[0]);
});

test('a partial tile is cut from a wider one, not from a narrower one', () => {
  const bytes = Uint8Array.from({ length: 320 }, (_, at) => at);
  assert.deepEqual(cutTile(bytes, 3), bytes.slice(0, 96));
  assert.deepEqual(cutTile(bytes, 10), bytes);
  assert.throws(() => cutTile(bytes, 11), CheckFailed);
});
