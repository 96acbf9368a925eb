// Goal: the arithmetic of trees and tiles agrees with x/mod, for trees of any size.
// Method: tables and random numbers, each compared with the result of x/mod (testdb).

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { BadRequest } from '../../src/core/errors.ts';
import { newTiles, parseTilePath, type Tile, tileForIndex, tilePath } from '../../src/sumdb/tile.ts';
import { edgeTiles, planTiles, recordTiles, treeTiles } from '../../src/sumdb/tile-plan.ts';
import {
  splitStoredHashIndex,
  storedHashCount,
  storedHashIndex,
  TREE_SIZE_MAX,
} from '../../src/sumdb/tlog.ts';
import { type SumdbServer, startSumdbServer } from '../support/sumdb-server.ts';

let go: SumdbServer;
before(async () => {
  go = await startSumdbServer({ records: 1000 });
});
after(() => go.close());

type GoTile = Tile & { path: string };
const withPath = (tile: Tile): GoTile => ({ ...tile, path: tilePath(tile) });

// Sizes around the edges of tiles, of 32-bit numbers, of the real tree, and of TREE_SIZE_MAX.
const sizes = [
  0,
  1,
  2,
  3,
  255,
  256,
  257,
  511,
  512,
  65535,
  65536,
  65537,
  70_000,
  16_777_216,
  41_234_567,
  2 ** 31,
  2 ** 32 + 5,
  2 ** 40 + 12_345,
  TREE_SIZE_MAX,
];
const anySize = fc.oneof(
  fc.integer({ min: 1, max: 2000 }),
  fc.integer({ min: 1, max: 60_000_000 }),
  fc.integer({ min: 1, max: TREE_SIZE_MAX }),
);

async function assertVectors(level: number, number: number, size: number, older: number): Promise<void> {
  const asked = { Cmd: 'vectors', Level: level, Number: number, Size: size, Older: older };
  const said = (await go.ask(asked)) as {
    index: number;
    level: number;
    number: number;
    count: number;
    tile: GoTile;
    newTiles: GoTile[];
  };
  const index = storedHashIndex(level, number);
  assert.equal(index, said.index);
  assert.deepEqual(splitStoredHashIndex(index), { level, number });
  assert.deepEqual({ level: said.level, number: said.number }, { level, number });
  assert.equal(storedHashCount(size), said.count);
  assert.deepEqual(withPath(tileForIndex(8, index)), said.tile);
  assert.deepEqual(newTiles(8, older, size).map(withPath), said.newTiles);
}

test('indices, counts, tiles and growth are those of x/mod at the edges', async () => {
  for (const size of sizes)
    await assertVectors(size % 5, Math.floor(size / 64), size, Math.max(0, size - 300));
});

test('indices, counts, tiles and growth are those of x/mod anywhere', async () => {
  const level = fc.integer({ min: 0, max: 40 });
  await fc.assert(
    fc.asyncProperty(level, anySize, fc.integer({ min: 0, max: 2000 }), async (level, size, growth) => {
      await assertVectors(level, Math.floor((size - 1) / 2 ** level), size, Math.max(0, size - growth));
    }),
    { numRuns: 300 },
  );
});

test('every stored hash of a small tree has its own index, without gaps', () => {
  const seen = new Set<number>();
  for (let level = 0; level <= 9; level++) {
    for (let number = 0; (number + 1) * 2 ** level <= 1000; number++)
      seen.add(storedHashIndex(level, number));
  }
  assert.equal(seen.size, storedHashCount(1000));
  assert.equal(Math.max(...seen), storedHashCount(1000) - 1);
});

test('the tiles that prove a record, an older tree and a tree head are those that x/mod asks for', async () => {
  const asks = (command: object): Promise<unknown> => go.ask({ Cmd: 'tiles', ...command });
  await fc.assert(
    fc.asyncProperty(
      anySize,
      fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      async (size, part) => {
        const id = Math.floor(part * size);
        assert.deepEqual(
          recordTiles(size, id).map(withPath),
          await asks({ Size: size, Indexes: [storedHashIndex(0, id)] }),
        );
        assert.deepEqual(treeTiles(size, id + 1).map(withPath), await asks({ Size: size, Older: id + 1 }));
        assert.deepEqual(edgeTiles(size).map(withPath), await asks({ Size: size, Older: size }));
        const several = [0, id, size - 1].map((record) => storedHashIndex(0, record));
        const planned = planTiles(size, several).tiles.map(({ tile }) => withPath(tile));
        assert.deepEqual(planned, await asks({ Size: size, Indexes: several }));
      },
    ),
    { numRuns: 200 },
  );
});

test('an index outside the tree is not planned', () => {
  assert.throws(() => planTiles(10, [storedHashIndex(0, 10)]), RangeError);
  assert.throws(() => planTiles(0, [0]), RangeError);
  assert.deepEqual(edgeTiles(0), []);
});

const paths: { path: string; tile?: Tile; why: string }[] = [
  { path: 'tile/8/0/000', tile: { height: 8, level: 0, number: 0, width: 256 }, why: 'a full tile' },
  {
    path: 'tile/8/0/x001/x234/067.p/12',
    tile: { height: 8, level: 0, number: 1_234_067, width: 12 },
    why: 'a partial tile',
  },
  {
    path: 'tile/8/data/x001/000',
    tile: { height: 8, level: -1, number: 1000, width: 256 },
    why: 'a data tile',
  },
  {
    path: 'tile/3/4/x001/x234/067',
    tile: { height: 3, level: 4, number: 1_234_067, width: 8 },
    why: 'another height',
  },
  {
    path: 'tile/30/0/000',
    tile: { height: 30, level: 0, number: 0, width: 2 ** 30 },
    why: 'the greatest height',
  },
  { path: '8/0/000', why: 'no tile/' },
  { path: 'tile/8/0/000/', why: 'a slash at the end' },
  { path: 'tile/8/0/x000/001', why: 'leading zeros in the number' },
  { path: 'tile/8/0/001/x002', why: 'x in the wrong place' },
  { path: 'tile/8/0/x001', why: 'only x' },
  { path: 'tile/8/0/1', why: 'fewer than three digits' },
  { path: 'tile/08/0/001', why: 'leading zero in the height' },
  { path: 'tile/+8/0/001', why: 'a sign' },
  { path: 'tile/31/0/001', why: 'too high' },
  { path: 'tile/0/0/001', why: 'no height' },
  { path: 'tile/8/-1/001', why: 'level data by its number' },
  { path: 'tile/8/0/001.p/0', why: 'no width' },
  { path: 'tile/8/0/001.p/256', why: 'a full tile as a partial one' },
  { path: 'tile/8/0/001.p/257', why: 'wider than full' },
  { path: 'tile/8/0/001.p/012', why: 'leading zero in the width' },
  { path: 'tile/8/0/001.p', why: 'no width after .p' },
  { path: 'tile/8/0/001%2Fp/1', why: 'escapes' },
  { path: 'tile/8/0/٠٠١', why: 'digits that are not ASCII' },
  { path: 'tile/8/0/001\n', why: 'a newline at the end' },
  { path: '', why: 'nothing' },
];
for (const { path, tile, why } of paths) {
  test(`parseTilePath agrees with x/mod: ${why}`, async () => {
    const said = (await go.ask({ Cmd: 'parseTilePath', Path: path })) as { ok: boolean; tile: GoTile };
    assert.equal(said.ok, tile !== undefined);
    if (tile === undefined) {
      assert.throws(() => parseTilePath(path), BadRequest);
      return;
    }
    assert.deepEqual(parseTilePath(path), tile);
    assert.deepEqual(withPath(tile), said.tile);
  });
}

test('parseTilePath refuses tiles that x/mod accepts but no tree can have', () => {
  for (const path of [
    'tile/8/64/000',
    'tile/8/6/001',
    'tile/8/0/x999/x999/x999/x999/x999/999',
    'tile/30/1/x001/000',
  ]) {
    assert.throws(() => parseTilePath(path), BadRequest, path);
  }
});

test('tile paths round-trip, and a changed one is accepted only if x/mod accepts it', async () => {
  const piece = fc.constantFrom('/', 'x', '.p', '0', '1', '9', '00', '-', '+', '256', 'data', ' ');
  await fc.assert(
    fc.asyncProperty(
      fc.nat(5_000_000),
      fc.integer({ min: -1, max: 2 }),
      fc.integer({ min: 1, max: 256 }),
      fc.nat(30),
      piece,
      async (number, level, width, at, text) => {
        const tile = { height: 8, level, number, width };
        const path = tilePath(tile);
        assert.deepEqual(parseTilePath(path), tile);
        const changed = path.slice(0, at) + text + path.slice(at + 1);
        const said = (await go.ask({ Cmd: 'parseTilePath', Path: changed })) as { ok: boolean; tile: GoTile };
        let taken: GoTile | undefined;
        try {
          taken = withPath(parseTilePath(changed));
        } catch {}
        if (taken !== undefined) assert.deepEqual(taken, said.tile);
        // Only we refuse tiles past any tree.
        else
          assert.ok(
            !said.ok || said.tile.level > 4 || said.tile.number > 2 ** 24 || said.tile.height > 8,
            changed,
          );
      },
    ),
    { numRuns: 500 },
  );
});
