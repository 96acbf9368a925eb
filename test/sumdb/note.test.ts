// Goal: a note, a tree head or a record is accepted only if x/mod accepts it, and means the same.
// Method: tables with the verdicts of x/mod (testdb) and ours, and random damage that both judge.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { BadRequest, CheckFailed } from '../../src/core/errors.ts';
import { SUMDB_ANSWER_BYTES_MAX } from '../../src/core/limits.ts';
import { formatHash, HASH_BYTES, recordHash } from '../../src/sumdb/hash.ts';
import { BadSignature, openNote, parseVerifierKey } from '../../src/sumdb/note.ts';
import { cutDataTile, formatRecord, hashesOfDataTile, parseRecord } from '../../src/sumdb/record.ts';
import { formatTree, parseTree } from '../../src/sumdb/tree-head.ts';
import { type SumdbServer, startSumdbServer } from '../support/sumdb-server.ts';

let go: SumdbServer;
before(async () => {
  go = await startSumdbServer({ records: 300 });
});
after(() => go.close());

type Verdict = { ok: boolean; text: string; count: number; err: string };
const judge = async (Cmd: string, bytes: Uint8Array): Promise<Verdict> =>
  (await go.ask({ Cmd, Bytes: Buffer.from(bytes).toString('base64') })) as Verdict;
const sign = async (text: string, others: number, skip = false): Promise<Buffer> =>
  Buffer.from(
    (await go.ask({
      Cmd: 'sign',
      Bytes: Buffer.from(text).toString('base64'),
      N: others,
      Skip: skip,
    })) as string,
    'base64',
  );

/** The result of `read`, or undefined if it refuses the input. Any other error is a bug. */
function taken<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    assert.ok(error instanceof CheckFailed || error instanceof BadRequest, String(error));
    assert.doesNotMatch(error.message, /[\n\r]/);
    assert.ok(error.message.length < 1000, 'short');
    return undefined;
  }
}

const ours = (bytes: Uint8Array): Verdict | undefined =>
  taken(() => {
    const note = openNote(bytes, [parseVerifierKey(go.verifierKey)]);
    return { ok: true, text: note.text, count: note.unknown.length, err: '' };
  });

async function assertSameNote(bytes: Uint8Array): Promise<boolean> {
  const said = await judge('openNote', bytes);
  assert.deepEqual(ours(bytes), said.ok ? said : undefined, JSON.stringify(Buffer.from(bytes).toString()));
  return said.ok;
}

const TEXT = 'go.sum database tree\n3\nnND/nri/U0xuHUrYSy0HtMeal2vzD9V4k/BO79C+QeI=\n';

const notes: { why: string; isTaken: boolean; make: (note: Buffer) => Buffer | Promise<Buffer> }[] = [
  { why: 'as signed', isTaken: true, make: (note) => note },
  { why: 'with two unknown signatures', isTaken: true, make: () => sign(TEXT, 2) },
  { why: 'with 100 signatures', isTaken: true, make: () => sign(TEXT, 99) },
  { why: 'with 101 signatures', isTaken: false, make: () => sign(TEXT, 100) },
  { why: 'by an unknown key only', isTaken: false, make: () => sign(TEXT, 1, true) },
  {
    why: 'the right signature twice',
    isTaken: true,
    make: (note) => lines(note, (all) => [...all, all.at(-1) ?? '']),
  },
  {
    why: 'a wrong signature after the right one',
    isTaken: true,
    make: (note) => lines(note, (all) => [...all, wrong(all.at(-1) ?? '')]),
  },
  {
    why: 'a wrong signature before the right one',
    isTaken: false,
    make: (note) => lines(note, (all) => [...all.slice(0, -1), wrong(all.at(-1) ?? ''), all.at(-1) ?? '']),
  },
  { why: 'another text', isTaken: false, make: (note) => swap(note, '\n3\n', '\n4\n') },
  { why: 'a blank line in the text', isTaken: true, make: () => sign('a\n\nb\n', 0) },
  { why: 'a text of one newline', isTaken: true, make: () => sign('\n', 0) },
  { why: 'no text at all', isTaken: false, make: (note) => note.subarray(note.indexOf('\n\n')) },
  {
    why: 'another name with the key hash',
    isTaken: false,
    make: (note) => swap(note, ' sumdb.example ', ' sumdb.other '),
  },
  { why: 'a hyphen for the dash', isTaken: false, make: (note) => swap(note, '— ', '- ') },
  { why: 'two spaces after the name', isTaken: false, make: (note) => swap(note, 'example ', 'example  ') },
  { why: 'no newline at the end', isTaken: false, make: (note) => note.subarray(0, -1) },
  {
    why: 'a blank line at the end',
    isTaken: false,
    make: (note) => Buffer.concat([note, Buffer.from('\n')]),
  },
  { why: 'a carriage return', isTaken: false, make: (note) => swap(note, '=\n', '=\r\n') },
  { why: 'a control character', isTaken: false, make: () => Buffer.from('a\x01\n\n— x AAAAAAAA\n') },
  { why: 'DEL is no control character to x/mod', isTaken: true, make: () => sign('a\x7f\n', 0) },
  { why: 'a byte order mark', isTaken: true, make: () => sign('\ufeffa\n', 0) },
  { why: 'U+FFFD as itself', isTaken: true, make: () => sign('\ufffd\n', 0) },
  { why: 'invalid UTF-8', isTaken: false, make: (note) => Buffer.concat([Buffer.from([0xff]), note]) },
  {
    why: 'a surrogate in UTF-8',
    isTaken: false,
    make: (note) => Buffer.concat([Buffer.from([0xed, 0xa0, 0x80]), note]),
  },
  { why: 'no padding', isTaken: false, make: (note) => swap(note, /=+\n$/, '\n') },
  {
    why: 'a key hash and nothing signed',
    isTaken: false,
    make: (note) => lines(note, (all) => [...all, '— x AAAAAA==']),
  },
  {
    why: 'an unknown name with U+0085, a space to Go',
    isTaken: false,
    make: (note) => lines(note, (all) => [...all, '— x\u0085y AAAAAAAA']),
  },
  {
    why: 'an unknown name with U+FEFF, no space to Go',
    isTaken: true,
    make: (note) => lines(note, (all) => [...all, '— x\ufeffy AAAAAAAA']),
  },
  {
    why: 'an unknown name with a plus',
    isTaken: false,
    make: (note) => lines(note, (all) => [...all, '— x+y AAAAAAAA']),
  },
  { why: 'nothing', isTaken: false, make: () => Buffer.alloc(0) },
  { why: 'a page of HTML', isTaken: false, make: () => Buffer.from('<html>\n\nlog in\n') },
];
for (const { why, isTaken, make } of notes) {
  test(`openNote agrees with x/mod: ${why}`, async () => {
    const bytes = await make(await sign(TEXT, 0));
    assert.equal(await assertSameNote(bytes), isTaken);
  });
}

function lines(note: Buffer, change: (all: string[]) => string[]): Buffer {
  return Buffer.from(`${change(note.toString().trimEnd().split('\n')).join('\n')}\n`);
}
/** The signature with its last bytes changed. */
function wrong(line: string): string {
  return line.replace(/.{8}$/, line.endsWith('AAAAAAA=') ? 'BBBBBBB=' : 'AAAAAAA=');
}
function swap(note: Buffer, what: string | RegExp, by: string): Buffer {
  const changed = note.toString().replace(what, by);
  assert.notEqual(changed, note.toString(), 'the case changes nothing');
  return Buffer.from(changed);
}

test('a malformed note is no BadSignature; a wrong signature by the key, or none by it, is one', async () => {
  const verifiers = [parseVerifierKey(go.verifierKey)];
  const note = await sign(TEXT, 0);
  assert.throws(() => openNote(swap(note, '\n3\n', '\n4\n'), verifiers), BadSignature);
  const byOther = await sign(TEXT, 1, true);
  assert.throws(() => openNote(byOther, verifiers), BadSignature);
  assert.throws(
    () => openNote(Buffer.from('<html>'), verifiers),
    (error) => error instanceof CheckFailed && !(error instanceof BadSignature),
  );
});

test('a note over the limit is refused', async () => {
  const long = await sign(`${'a'.repeat(SUMDB_ANSWER_BYTES_MAX)}\n`, 0);
  assert.throws(() => openNote(long, [parseVerifierKey(go.verifierKey)]), CheckFailed);
});

/** A copy with some bytes changed, dropped or added. */
function damaged(bytes: Uint8Array): fc.Arbitrary<Uint8Array> {
  const change = fc.tuple(
    fc.nat(bytes.length - 1),
    fc.nat(2),
    fc.constantFrom(0, 9, 10, 13, 32, 43, 45, 48, 49, 61, 65, 0xa0, 0xc2, 0xe2, 0xff),
  );
  return fc.array(change, { minLength: 1, maxLength: 3 }).map((changes) => {
    const list = [...bytes];
    for (const [at, dropped, byte] of changes) list.splice(at, dropped, byte);
    return Uint8Array.from(list);
  });
}

test('a damaged note is accepted only if x/mod accepts it', async () => {
  const note = await sign(TEXT, 1);
  await fc.assert(
    fc.asyncProperty(damaged(note), async (bytes) => void (await assertSameNote(bytes))),
    { numRuns: 1500 },
  );
});

const keys: { why: string; isTaken: boolean; make: (key: string) => string }[] = [
  { why: 'as made', isTaken: true, make: (key) => key },
  {
    why: 'hash in capitals',
    isTaken: true,
    make: (key) => key.replace(/\+([0-9a-f]{8})\+/, (all) => all.toUpperCase()),
  },
  { why: "another key's hash", isTaken: false, make: (key) => key.replace(/\+[0-9a-f]{8}\+/, '+00000000+') },
  { why: 'another name', isTaken: false, make: (key) => key.replace('sumdb', 'sumbd') },
  { why: 'a short hash', isTaken: false, make: (key) => key.replace(/\+[0-9a-f]{8}\+/, '+123+') },
  { why: 'no name', isTaken: false, make: (key) => key.replace(/^[^+]*/, '') },
  { why: 'only a name', isTaken: false, make: () => 'sumdb.example' },
  { why: 'a space in the name', isTaken: false, make: (key) => key.replace('.', ' ') },
  { why: 'base64 cut off', isTaken: false, make: (key) => key.slice(0, -1) },
  { why: 'no key', isTaken: false, make: (key) => key.replace(/[^+]*$/, '') },
  { why: 'nothing', isTaken: false, make: () => '' },
  // The hashes are right (`note.go` keyHash), so that the last check refuses these keys.
  {
    why: 'an unknown algorithm',
    isTaken: false,
    make: () => keyOf(Buffer.concat([Buffer.from([2]), Buffer.alloc(32, 1)])),
  },
  {
    why: 'an Ed25519 key of 31 bytes',
    isTaken: false,
    make: () => keyOf(Buffer.concat([Buffer.from([1]), Buffer.alloc(31, 1)])),
  },
];
for (const { why, isTaken, make } of keys) {
  test(`parseVerifierKey agrees with x/mod: ${why}`, async () => {
    const key = make(go.verifierKey);
    const said = (await go.ask({ Cmd: 'parseKey', Path: key })) as Verdict;
    assert.equal(said.ok, isTaken);
    assert.equal(taken(() => parseVerifierKey(key))?.name, isTaken ? 'sumdb.example' : undefined);
  });
}

function keyOf(key: Buffer): string {
  const hash = createHash('sha256').update('x.example\n').update(key).digest('hex');
  return `x.example+${hash.slice(0, 8)}+${key.toString('base64')}`;
}

test('the key of sum.golang.org is read', () => {
  const key = parseVerifierKey('sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8');
  assert.deepEqual([key.name, key.keyHash], ['sum.golang.org', '033de0ae']);
});

async function assertSameTree(bytes: Uint8Array): Promise<void> {
  const said = await judge('parseTree', bytes);
  const tree = taken(() => parseTree(Buffer.from(bytes).toString('utf8')));
  assert.deepEqual(
    tree && { size: tree.size, hash: formatHash(tree.hash) },
    said.ok ? { size: said.count, hash: said.text } : undefined,
  );
}

for (const [why, text] of [
  ['as formatted', TEXT],
  ['more lines', `${TEXT}more\n\n`],
  ['two lines', TEXT.replace(/\n[^\n]*\n$/, '\n')],
  ['another first line', TEXT.replace('tree', 'tree v2')],
  ['a size with a zero before it', TEXT.replace('\n3\n', '\n03\n')],
  ['a size below 0', TEXT.replace('\n3\n', '\n-3\n')],
  ['a size past an int64', TEXT.replace('\n3\n', '\n9999999999999999999\n')],
  ['a short hash', TEXT.replace('nND/', '')],
  ['no newline at the end', TEXT.trimEnd()],
  ['size 0', TEXT.replace('\n3\n', '\n0\n')],
] as const) {
  test(`parseTree agrees with x/mod: ${why}`, () => assertSameTree(Buffer.from(text)));
}

test('a damaged tree head is accepted only if x/mod accepts it', async () => {
  // The note around it allows only UTF-8 without control characters.
  const head = damaged(Buffer.from(TEXT)).filter((bytes) =>
    bytes.every((byte) => byte === 10 || (byte >= 0x20 && byte < 0x80)),
  );
  await fc.assert(fc.asyncProperty(head, assertSameTree), { numRuns: 500 });
});

test('a tree head with more records than we can count is refused', () => {
  assert.throws(() => parseTree(TEXT.replace('\n3\n', `\n${2 ** 48 + 1}\n`)), CheckFailed);
  assert.equal(parseTree(TEXT.replace('\n3\n', `\n${2 ** 48}\n`)).size, 2 ** 48);
});

test('tree heads and records round-trip', () => {
  fc.assert(
    fc.property(fc.nat(2 ** 31), fc.uint8Array({ minLength: 32, maxLength: 32 }), (size, hash) => {
      assert.deepEqual(
        { ...parseTree(formatTree({ size, hash: Buffer.from(hash) })) },
        { size, hash: Buffer.from(hash) },
      );
      const text = Buffer.from(`example.com/m${size} v1.0.0 h1:x=\n`);
      const { rest, ...record } = parseRecord(Buffer.concat([formatRecord({ id: size, text }), hash]));
      assert.deepEqual({ ...record }, { id: size, text });
      assert.deepEqual(Buffer.from(rest), Buffer.from(hash));
    }),
  );
});

async function assertSameRecord(bytes: Uint8Array): Promise<void> {
  const said = await judge('parseRecord', bytes);
  const record = taken(() => parseRecord(bytes));
  const id = Buffer.from(bytes).toString('latin1').split('\n')[0] ?? '';
  // x/mod accepts "+5", "007" and "-5" as numbers too, but no database writes them.
  if (said.ok && String(Math.abs(said.count)) !== id) {
    assert.equal(record, undefined);
    return;
  }
  assert.deepEqual(
    record && [record.id, Buffer.from(record.text).toString()],
    said.ok ? [said.count, said.text] : undefined,
  );
}

test('a record is accepted only if x/mod accepts it', async () => {
  const answer = Buffer.from(await go.fetch('lookup/example.com/m7@v1.0.0'));
  const head = answer.subarray(0, answer.indexOf('\n\n') + 2);
  await assertSameRecord(answer);
  for (const text of [
    '',
    '\n',
    '5\n',
    '5\n\n',
    '5\n\n\n',
    '5\na\n',
    '5\na\n\n',
    '+5\na\n\n',
    '05\na\n\n',
    '-5\na\n\n',
    '-0\na\n\n',
    '5 \na\n\n',
    '5\na\r\n\n',
    '99999999999999999999\na\n\n',
  ]) {
    await assertSameRecord(Buffer.from(text));
  }
  await fc.assert(fc.asyncProperty(damaged(head), assertSameRecord), { numRuns: 1000 });
});

test('an answer over the limit is refused', () => {
  assert.throws(
    () => parseRecord(Buffer.concat([Buffer.from('5\na\n\n'), Buffer.alloc(SUMDB_ANSWER_BYTES_MAX)])),
    CheckFailed,
  );
});

test("a data tile's records have the hashes of the hash tile beside it", async () => {
  for (const [at, width] of [
    ['000', 256],
    ['001', 44],
  ] as const) {
    const partial = width === 256 ? '' : `.p/${width}`;
    const hashes = await go.fetch(`tile/8/0/${at}${partial}`);
    const data = await go.fetch(`tile/8/data/${at}${partial}`);
    assert.deepEqual(hashesOfDataTile(data, width), Buffer.from(hashes));
    const cut = cutDataTile(data, width - 3);
    assert.deepEqual(
      hashesOfDataTile(cut, width - 3),
      Buffer.from(hashes).subarray(0, (width - 3) * HASH_BYTES),
    );
    assert.throws(() => hashesOfDataTile(data, width - 1), CheckFailed, 'a record too many');
    assert.throws(() => hashesOfDataTile(cut, width), CheckFailed, 'records too few');
    assert.throws(() => cutDataTile(cut, width), CheckFailed);
    assert.throws(() => hashesOfDataTile(data.subarray(0, -1), width), CheckFailed, 'cut within the last');
  }
  assert.notDeepEqual(recordHash(Buffer.from('a\n')), recordHash(Buffer.from('b\n')));
});
