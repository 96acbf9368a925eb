/**
 * Goal: a zip opens if and only if it means the same to every reader and is within all limits.
 * Method: zips written byte by byte, each with one fault. The message names the check that found it.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ZIP_ENTRIES_MAX } from '../../src/core/limits.ts';
import { bufferSource } from '../../src/modzip/byte-source.ts';
import { ZIP_DIRECTORY_BYTES_MAX, ZIP_NAME_BYTES_MAX } from '../../src/modzip/limits.ts';
import { readZipDirectory } from '../../src/modzip/zip-directory.ts';
import { chunkSource, fields, makeZip, type TestEntry, type TestZip } from './zip-writer.ts';

const A: TestEntry = { name: 'a', content: 'alpha' };
const B: TestEntry = { name: 'b', content: 'beta beta beta' };
const JUNK = Buffer.from('junk between');
const END = makeZip([]);

const good: { why: string; entries: TestEntry[]; zip?: TestZip }[] = [
  { why: 'plain', entries: [A, B] },
  { why: 'no entries', entries: [] },
  { why: 'stored', entries: [{ ...A, method: 0 }] },
  { why: 'data descriptors, as Go writes them', entries: [{ ...A, descriptor: 'signed' }, B] },
  { why: 'data descriptors without signature', entries: [{ ...A, descriptor: 'bare' }, B] },
  { why: 'a comment', entries: [A], zip: { comment: 'made by hand' } },
  { why: 'the longest comment', entries: [A], zip: { comment: 'x'.repeat(65_535) } },
  { why: 'a few bytes behind the end, which Go passes', entries: [A], zip: { trailing: JUNK } },
  { why: 'unused bytes between entries, which Go passes', entries: [A, { ...B, gap: JUNK }] },
  { why: 'unused bytes before the directory', entries: [A], zip: { beforeDirectory: JUNK } },
  { why: 'zip64 end record that is needed', entries: [A, B], zip: { zip64: 'only' } },
  { why: 'zip64 end record that is not needed: Java writes it', entries: [A, B], zip: { zip64: 'beside' } },
  { why: 'zip64 sizes and offset', entries: [A, { ...B, zip64: true }] },
  {
    why: 'an extra field that is cut short, beside no zip64',
    entries: [{ ...A, extra: fields([2, 9], [2, 99]) }],
  },
  { why: 'a directory', entries: [{ name: 'd/' }, A] },
  {
    why: 'a directory with a body and an odd method: Java writes it',
    entries: [{ name: 'd/', method: 99, body: JUNK }],
  },
  { why: 'the name is not ASCII', entries: [{ ...A, name: 'größe/文字/𐐀' }] },
  { why: 'a byte order mark is part of a name', entries: [{ ...A, name: '\ufeffa' }] },
];
for (const { why, entries, zip } of good) {
  test(`opens: ${why}`, () => {
    const bytes = makeZip(entries, zip);
    const read = readZipDirectory(bufferSource(bytes));
    assert.deepEqual(
      read.map(({ name, bytes }) => ({ name, bytes })),
      entries.map(({ name, content }) => ({ name, bytes: content?.length ?? 0 })),
    );
    assert.deepEqual(readZipDirectory(chunkSource(bytes, 7)), read);
  });
}

test('entries come in the order of their bodies, for any order of the directory', () => {
  const bytes = makeZip([A, B]);
  const directory = bytes.length - END.length - 2 * 47;
  const first = Buffer.from(bytes.subarray(directory, directory + 47));
  bytes.copyWithin(directory, directory + 47, directory + 94);
  bytes.set(first, directory + 47);
  assert.deepEqual(
    readZipDirectory(bufferSource(bytes)).map(({ name }) => name),
    ['a', 'b'],
  );
});

test('more than 65,535 entries need no zip64: only the low bits count', () => {
  const entries = Array.from({ length: 65_537 }, (_, index) => ({ name: `${index}`, method: 0 }));
  assert.equal(readZipDirectory(bufferSource(makeZip(entries))).length, 65_537);
});

const bad: { why: string; entries?: TestEntry[]; zip?: TestZip; says: RegExp }[] = [
  { why: 'overlap: the same body twice', entries: [A, { ...B, headerOffset: 0 }], says: /overlap/ },
  {
    why: 'overlap: one entry reaches into the next (the better zip bomb)',
    entries: [{ ...A, bodyBytes: 20 }, B],
    says: /overlap/,
  },
  {
    why: 'a body that reaches into the directory',
    entries: [{ ...A, bodyBytes: 8 }],
    says: /outside the file/,
  },
  { why: 'a body past the end of the file', entries: [{ ...A, bodyBytes: 1e9 }], says: /outside the file/ },
  { why: 'a descriptor with no room for it', entries: [{ ...A, flags: 8 }], says: /outside the file/ },
  { why: 'a local header past the end', entries: [{ ...A, headerOffset: 1e9 }], says: /outside the file/ },
  {
    why: 'zip64 offset past any file',
    entries: [{ ...A, zip64: true, headerOffset: 2 ** 60 }],
    says: /outside/,
  },
  { why: 'zip64 size past any file', entries: [{ ...A, zip64: true, bodyBytes: 2 ** 60 }], says: /outside/ },
  {
    why: 'zip64 sizes announced but missing',
    entries: [{ ...A, bodyBytes: 0xffffffff }],
    says: /no zip64 sizes/,
  },
  {
    why: 'zip64 sizes cut short',
    entries: [{ ...A, bodyBytes: 0xffffffff, extra: fields([2, 1], [2, 4], [4, 7]) }],
    says: /no zip64 sizes/,
  },
  { why: 'encrypted', entries: [{ ...A, flags: 1 }], says: /encrypted/ },
  { why: 'a method Go does not know', entries: [{ ...A, method: 12 }], says: /compression method 12/ },
  { why: 'stored with two sizes', entries: [{ ...A, method: 0, bytes: 4 }], says: /two sizes/ },
  { why: 'a directory with content', entries: [{ name: 'd/', bytes: 1 }], says: /directory with content/ },
  { why: 'another name in the local header', entries: [{ ...A, localName: 'z' }], says: /two names/ },
  {
    why: 'a longer name in the local header',
    entries: [{ ...A, localName: 'aa' }, B],
    says: /outside|overlap|two names/,
  },
  {
    why: 'no local header where one is due',
    entries: [{ ...A, localSignature: 0 }],
    says: /no header where/,
  },
  {
    why: 'a name that is not UTF-8',
    entries: [{ ...A, name: Buffer.from([0x61, 0xff]) }],
    says: /not UTF-8/,
  },
  {
    why: 'a surrogate in a name',
    entries: [{ ...A, name: Buffer.from([0xed, 0xa0, 0x80]) }],
    says: /not UTF-8/,
  },
  { why: 'no name', entries: [{ ...A, name: '' }], says: /without a name/ },
  {
    why: 'a name no disk takes',
    entries: [{ ...A, name: 'x'.repeat(ZIP_NAME_BYTES_MAX + 1) }],
    says: /name of 4097/,
  },
  { why: 'more entries claimed than there', zip: { claimedEntries: 2 }, says: /1 entries where .* 2/ },
  { why: 'fewer entries claimed than there', zip: { claimedEntries: 0 }, says: /1 entries where .* 0/ },
  {
    why: 'zip64 claims 65,537 for 1',
    zip: { claimedEntries: 65_537, zip64: 'only' },
    says: /1 entries where/,
  },
  {
    why: 'a million entries claimed',
    zip: { claimedEntries: 1e6, zip64: 'only' },
    says: /more than 200000 entries/,
  },
  { why: 'directory said to be later', zip: { directoryOffset: 99 }, says: /directory of/ },
  { why: 'directory said to be earlier', zip: { directoryOffset: 1 }, says: /directory of/ },
  { why: 'directory said to be past the file', zip: { directoryOffset: 0xfffffffe }, says: /directory of/ },
  { why: 'directory said to be shorter', zip: { directoryBytes: 40 }, says: /directory of/ },
  {
    why: 'directory shorter, its start shifted',
    zip: { directoryBytes: 46, directoryOffset: 39 },
    says: /no header where/,
  },
  { why: 'a cut header', zip: { beforeEnd: fields([4, 0x02014b50]), directoryBytes: 51 }, says: /cut short/ },
  { why: 'bytes between directory and end', zip: { beforeEnd: JUNK }, says: /directory of/ },
  {
    why: 'bytes in the directory',
    zip: { beforeEnd: Buffer.alloc(46), directoryBytes: 93 },
    says: /no header where/,
  },
  { why: 'a comment past the end', zip: { commentBytes: 5 }, says: /comment past the end/ },
  { why: 'a comment that is itself an end record', zip: { comment: END }, says: /directory of/ },
  {
    why: 'an end record cut off by a comment of its signature',
    zip: { comment: `PK\x05\x06${'\xff'.repeat(30)}` },
    says: /comment past/,
  },
  {
    why: 'bytes in front, so that all offsets are wrong',
    entries: [{ ...A, gap: JUNK, headerOffset: 0 }],
    zip: { directoryOffset: 37 },
    says: /directory of/,
  },
  { why: 'second disk', zip: { disk: 1 }, says: /more than one disk/ },
  { why: 'second disk of zip64', zip: { zip64: 'only', disks64: 2 }, says: /more than one disk/ },
  {
    why: 'zip64 locator past the file',
    zip: { zip64: 'only', locatorOffset: 2 ** 60 },
    says: /zip64 record outside/,
  },
  { why: 'zip64 locator to elsewhere', zip: { zip64: 'only', locatorOffset: 0 }, says: /no zip64 record/ },
  { why: 'zip64 absurd directory', zip: { zip64: 'only', directoryBytes: 2 ** 62 }, says: /directory of/ },
];
for (const { why, entries = [A], zip, says } of bad) {
  test(`refused: ${why}`, () => {
    assert.throws(() => readZipDirectory(bufferSource(makeZip(entries, zip))), {
      name: 'CheckFailed',
      message: says,
    });
  });
}

test('refused: a zip64 record that differs from the short one', () => {
  const bytes = makeZip([A], { zip64: 'beside' });
  bytes.writeUInt16LE(2, bytes.length - END.length + 10);
  assert.throws(() => readZipDirectory(bufferSource(bytes)), {
    name: 'CheckFailed',
    message: /zip64 record differs/,
  });
});

test('refused: any zip cut short, at every length', () => {
  const bytes = makeZip([A, { ...B, descriptor: 'signed' }]);
  for (let length = 0; length < bytes.length; length++) {
    assert.throws(() => readZipDirectory(bufferSource(bytes.subarray(0, length))), { name: 'CheckFailed' });
  }
});

test('refused: one entry more than the limit, though the end record claims few', () => {
  const header = makeZip([{ name: 'x', method: 0 }]).subarray(31, 31 + 47);
  const directory = Buffer.alloc(header.length * (ZIP_ENTRIES_MAX + 1));
  for (let at = 0; at < directory.length; at += header.length) directory.set(header, at);
  const bytes = makeZip([], { beforeEnd: directory, directoryBytes: directory.length, claimedEntries: 3393 });
  assert.throws(() => readZipDirectory(bufferSource(bytes)), {
    name: 'CheckFailed',
    message: /more than 200000 entries/,
  });
});

test('refused before it is read: a directory over the limit', () => {
  const bytes = makeZip([], {
    beforeEnd: Buffer.alloc(ZIP_DIRECTORY_BYTES_MAX + 1),
    directoryBytes: ZIP_DIRECTORY_BYTES_MAX + 1,
  });
  const source = {
    size: bytes.length,
    read: (offset: number, length: number) => {
      assert.ok(length < 100_000, 'only the end may be read');
      return bytes.subarray(offset, offset + length);
    },
  };
  assert.throws(() => readZipDirectory(source), { name: 'CheckFailed', message: /directory of more than/ });
});

test('a message is one graphic line, even with a hostile name', () => {
  const bytes = makeZip([{ ...A, name: `\n\x1b[31m\u202e\u009b${'x'.repeat(3000)}`, flags: 1 }]);
  assert.throws(
    () => readZipDirectory(bufferSource(bytes)),
    ({ message }: Error) => /^[\P{C}]{1,300}$/u.test(message),
  );
});
