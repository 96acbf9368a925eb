// Goal: an index of packs comes back as it was written; one that is cut, altered or made up costs the rows that can't be, or itself.
// Method: round trips of made-up indexes, and tables of hostile ones, with a right hash, as whoever writes to a bucket can make it.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { SESSION_ACTIONS_MAX } from '../../src/core/limits.ts';
import {
  decodePackIndex,
  encodePackIndex,
  PACK_APART_MAX,
  PACK_CHUNKS_MAX,
  type PackChunk,
  type PackRow,
} from '../../src/packs/pack-index.ts';

function id(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

const CHUNK: PackChunk = { sha256: id('chunk'), storedBytes: 40, contentBytes: 100 };

function row(name: string, more: Partial<PackRow> = {}): PackRow {
  return {
    actionId: id(`action ${name}`),
    outputId: id(name),
    size: 10,
    time: '1700000000123456789',
    note: undefined,
    chunk: CHUNK,
    offset: 0,
    missed: 0,
    ...more,
  };
}

const ROWS = [
  row('a'),
  row('b', { offset: 90, note: 'v1:0123:sig' }),
  row('empty', { size: 0, chunk: undefined }),
];
const GOOD = encodePackIndex({ rows: ROWS, apart: ['0123456789abcdef'] });

/** What a hostile writer makes of it: other bytes, and the hash of them. */
function forged(alter: (bytes: Buffer) => Buffer | undefined): Buffer {
  const bytes = Buffer.from(GOOD.subarray(0, -32));
  const altered = alter(bytes) ?? bytes;
  return Buffer.concat([altered, createHash('sha256').update(altered).digest()]);
}

test('what is written is read, whatever its rows are', () => {
  const hex = (length: number) =>
    fc
      .uint8Array({ minLength: length, maxLength: length })
      .map((bytes) => Buffer.from(bytes).toString('hex'));
  const chunks = fc.array(
    fc.record({
      sha256: hex(32),
      storedBytes: fc.nat(),
      contentBytes: fc.integer({ min: 1000, max: 2 ** 40 }),
    }),
    { minLength: 1, maxLength: 4 },
  );
  const rows = chunks.chain((all) =>
    fc.uniqueArray(
      fc.record({
        actionId: hex(32),
        outputId: hex(32),
        size: fc.integer({ min: 1, max: 500 }),
        time: fc.bigInt({ min: 0n, max: 9_999_999_999_999_999_999n }).map(String),
        note: fc.option(fc.stringMatching(/^[a-z0-9:]{1,80}$/), { nil: undefined }),
        chunk: fc.constantFrom(...all),
        offset: fc.integer({ min: 0, max: 500 }),
        missed: fc.nat(255),
      }),
      { selector: ({ actionId }) => actionId, maxLength: 30 },
    ),
  );
  fc.assert(
    fc.property(rows, fc.array(hex(8), { maxLength: 20 }), (some, apart) => {
      // fast-check's records have no prototype.
      const plain = some.map((one) => ({ ...one, chunk: { ...one.chunk } }));
      assert.deepEqual(decodePackIndex(encodePackIndex({ rows: some, apart })), { rows: plain, apart });
    }),
  );
});

test('an empty set is one', () => {
  assert.deepEqual(decodePackIndex(encodePackIndex({ rows: [], apart: [] })), { rows: [], apart: [] });
});

test('an index that is cut anywhere, or has any byte changed, is none', () => {
  for (let at = 0; at < GOOD.length; at++) {
    assert.throws(() => decodePackIndex(GOOD.subarray(0, at)));
    const changed = Buffer.from(GOOD);
    changed[at] = (changed[at] ?? 0) ^ 1;
    assert.throws(() => decodePackIndex(changed), `byte ${at}`);
  }
});

const CHUNKS_AT = 8;
const APART_AT = CHUNKS_AT + 4 + 44;
const ROWS_AT = APART_AT + 4 + 8;
for (const { why, alter } of [
  { why: 'nothing at all', alter: () => Buffer.alloc(0) },
  { why: 'another magic', alter: (bytes: Buffer) => void bytes.write('asterap2') },
  { why: 'more chunks than it has', alter: (bytes: Buffer) => void bytes.writeUInt32LE(1000, CHUNKS_AT) },
  {
    why: 'chunks past the bound',
    alter: (bytes: Buffer) => void bytes.writeUInt32LE(PACK_CHUNKS_MAX + 1, CHUNKS_AT),
  },
  { why: 'four billion chunks', alter: (bytes: Buffer) => void bytes.writeUInt32LE(2 ** 32 - 1, CHUNKS_AT) },
  { why: 'more apart than it has', alter: (bytes: Buffer) => void bytes.writeUInt32LE(4000, APART_AT) },
  {
    why: 'apart past the bound',
    alter: (bytes: Buffer) => void bytes.writeUInt32LE(PACK_APART_MAX + 1, APART_AT),
  },
  { why: 'rows past its end', alter: (bytes: Buffer) => void bytes.writeUInt32LE(2 ** 31, ROWS_AT) },
  { why: 'a row that is cut', alter: (bytes: Buffer) => void bytes.writeUInt32LE(100, ROWS_AT) },
  {
    why: 'a note past its end',
    alter: (bytes: Buffer) => void bytes.writeUInt16LE(65_535, ROWS_AT + 4 + 78),
  },
  { why: 'no places', alter: (bytes: Buffer) => bytes.subarray(0, -33) },
]) {
  test(`${why}: refused as a whole`, () => assert.throws(() => decodePackIndex(forged(alter))));
}

test('a row more than a set may have: refused as a whole', () => {
  const rows = Array.from({ length: SESSION_ACTIONS_MAX + 1 }, (_, at) => row(`${at}`));
  assert.throws(() => decodePackIndex(encodePackIndex({ rows, apart: [] })), /past its bounds/);
  assert.equal(
    decodePackIndex(encodePackIndex({ rows: rows.slice(1), apart: [] })).rows.length,
    SESSION_ACTIONS_MAX,
  );
});

for (const { why, bad } of [
  { why: 'past the end of its chunk', bad: row('bad', { offset: 91 }) },
  { why: 'larger than its chunk', bad: row('bad', { size: 101 }) },
  { why: 'larger than anything', bad: row('bad', { size: 2 ** 48 - 1 }) },
  { why: 'of no chunk', bad: row('bad', { chunk: undefined }) },
  { why: 'of an action that came before', bad: row('bad', { actionId: id('action a') }) },
  { why: 'of a time that has no form', bad: row('bad', { time: '18446744073709551615' }) },
]) {
  test(`a row ${why} is left out, and the others stay`, () => {
    const rows = [...ROWS, bad, row('last', { offset: 20 })];
    assert.deepEqual(
      decodePackIndex(encodePackIndex({ rows, apart: [] })).rows.map(({ outputId }) => outputId),
      ['a', 'b', 'empty', 'last'].map(id),
    );
  });
}
