/**
 * Goal: hashing needs little memory, survives any bytes, and reports a bad zip only for the zip's own faults.
 * Method: sources that count or fail, and arbitrary damage to good zips. A damaged zip that is still accepted must have
 * the hash that Go's archive/zip gives it. go-command.test.ts compares refusals and the h1 of good zips with `go`.
 */

import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { CheckFailed, StoreFailed } from '../../src/core/errors.ts';
import { bufferSource } from '../../src/modzip/byte-source.ts';
import { checkZip } from '../../src/modzip/zip-check.ts';
import { readContent, streamContent } from '../../src/modzip/zip-content.ts';
import { readZipDirectory } from '../../src/modzip/zip-directory.ts';
import { checkContent, hashZip } from '../../src/modzip/zip-hash.ts';
import { runGo, withDirectory } from './go.ts';
import { chunkSource, makeZip, type TestEntry } from './zip-writer.ts';

const OWNER = { module: 'm.example/x', version: 'v1.0.0' };
const MiB = 1024 * 1024;
const CHUNK = 256 * 1024;
const KINDS: readonly TestEntry[] = [
  { name: 'm.example/x@v1.0.0/go.mod', content: 'module m.example/x\n' },
  { name: 'm.example/x@v1.0.0/é/b.go', content: 'package b // b b b b b', descriptor: 'signed' },
  { name: 'm.example/x@v1.0.0/c.go', content: 'package c', descriptor: 'bare' },
  { name: 'm.example/x@v1.0.0/d', content: 'stored', method: 0, zip64: true },
  { name: 'm.example/x@v1.0.0/e/' },
];
const GOOD = [makeZip(KINDS), makeZip(KINDS, { zip64: 'only', comment: 'by hand' }), makeZip([])];

test('the counts are those of the files', () => {
  const { files, contentBytes } = hashZip(bufferSource(makeZip(KINDS)), OWNER);
  assert.deepEqual({ files, contentBytes }, { files: 4, contentBytes: 19 + 22 + 9 + 6 });
});

test('the checks of content are the same with and without a hash', () => {
  const big = { name: 'm.example/x@v1.0.0/big', content: Buffer.alloc(9 * MiB, 'x') };
  const { files } = checkContent(bufferSource(makeZip([...KINDS, big])), OWNER);
  assert.equal(files, 5);
  for (const wrong of [
    { ...big, crc: 5 },
    { name: `${big.name}.go`, content: 'x', crc: 5 },
  ]) {
    const zip = bufferSource(makeZip([...KINDS, wrong]));
    assert.equal(checkZip(zip, OWNER).files, 5, 'the structure alone is good');
    assert.throws(() => checkContent(zip, OWNER), CheckFailed);
  }
});

test('a zip of small files costs two reads for each chunk: one for headers, one for bodies', () => {
  const entries = Array.from({ length: 2000 }, (_, index) => ({
    name: `m.example/x@v1.0.0/${index}`,
    content: Buffer.alloc(1000, index),
    method: 0,
  }));
  const bytes = makeZip(entries);
  const source = chunkSource(bytes, CHUNK);
  hashZip(source, OWNER);
  // The same number again for ranges across two chunks, and a few for end and directory.
  assert.ok(source.reads() < (4 * bytes.length) / CHUNK + 10, `${source.reads()} reads`);
});

for (const method of [0, 8]) {
  test(`a large entry of method ${method} comes in pieces, never whole`, () => {
    const content = Buffer.alloc(64 * MiB, 'large ');
    const zip = bufferSource(makeZip([{ name: 'a', content, method }]));
    const [entry] = readZipDirectory(zip);
    assert.ok(entry !== undefined);
    let bytes = 0;
    streamContent(zip, entry, (piece) => {
      assert.ok(piece.byteLength <= CHUNK);
      bytes += piece.byteLength;
    });
    assert.equal(bytes, content.length);
  });
}

test('a bomb is cut off at its declared size, long before its end', () => {
  const zip = bufferSource(makeZip([{ name: 'a', content: Buffer.alloc(64 * MiB), bytes: 9 * MiB }]));
  const [entry] = readZipDirectory(zip);
  assert.ok(entry !== undefined);
  let bytes = 0;
  const take = (piece: Uint8Array) => {
    bytes += piece.byteLength;
  };
  assert.throws(() => streamContent(zip, entry, take), {
    name: 'CheckFailed',
    message: /longer than declared/,
  });
  assert.ok(bytes <= 9 * MiB);
});

test('a bomb that claims to be small is cut off, and not inflated to be measured', () => {
  const zip = bufferSource(makeZip([{ name: 'a', content: Buffer.alloc(64 * MiB), bytes: 10 }]));
  const [entry] = readZipDirectory(zip);
  assert.ok(entry !== undefined);
  // If the whole content were inflated, the message would give its size.
  assert.throws(() => readContent(zip, entry), { name: 'CheckFailed', message: /longer than declared/ });
});

for (const { why, content } of [
  { why: 'a small entry', content: 'small' },
  { why: 'a large entry', content: Buffer.from(Array.from({ length: 9 * MiB }, (_, index) => index ** 3)) },
]) {
  test(`an error of the store stays one and is not reported as a bad zip: in ${why}`, () => {
    const bytes = makeZip([{ name: 'm.example/x@v1.0.0/a', content }]);
    const zip = bufferSource(bytes);
    const failing = {
      size: zip.size,
      read: (offset: number, length: number) => {
        // The read of the local header begins at 0, so later offsets are reads of the body.
        if (offset > 0 && offset < bytes.length / 2) throw new StoreFailed('disk gone');
        return zip.read(offset, length);
      },
    };
    assert.throws(() => hashZip(failing, OWNER), StoreFailed);
  });
}

test('arbitrary bytes are always refused as bad zips', () => {
  const bytes = fc.uint8Array({ maxLength: 400 });
  const tail = fc.constantFrom(...GOOD.map((zip) => zip.subarray(-22)));
  fc.assert(
    fc.property(bytes, tail, (junk, end) => {
      assert.throws(() => hashZip(bufferSource(junk), OWNER), CheckFailed);
      try {
        hashZip(bufferSource(Buffer.concat([Uint8Array.of(1), junk, end])), OWNER);
      } catch (error) {
        assert.ok(error instanceof CheckFailed, `${error}`);
      }
    }),
  );
});

type Damage = { readonly at: number; readonly bytes: Uint8Array; readonly removed: number };

/** Overwrites, inserts or cuts out a few bytes in a few places; often none, often single bits. */
const damages: fc.Arbitrary<readonly Damage[]> = fc.array(
  fc.record({
    at: fc.nat(GOOD[1]?.length),
    bytes: fc.oneof(
      fc.uint8Array({ maxLength: 4 }),
      fc.constantFrom(Uint8Array.of(0), Uint8Array.of(0xff, 0xff, 0xff, 0xff), Uint8Array.of(1)),
    ),
    removed: fc.constantFrom(0, 1, 1, 1, 2, 4, 4, 30),
  }),
  { minLength: 1, maxLength: 3 },
);

function damage(zip: Buffer, all: readonly Damage[]): Buffer {
  return all.reduce(
    (bytes, { at, bytes: put, removed }) =>
      Buffer.concat([bytes.subarray(0, at), put, bytes.subarray(at + removed)]),
    zip,
  );
}

test('a damaged zip is refused, or has the same hash as in Go', async () => {
  const samples = fc.sample(fc.tuple(fc.constantFrom(...GOOD), damages), { numRuns: 5000, seed: 20_261_104 });
  const accepted: { zip: Buffer; h1: string }[] = [];
  for (const [zip, all] of samples) {
    const damaged = damage(zip, all);
    try {
      accepted.push({ zip: damaged, h1: hashZip(bufferSource(damaged), OWNER).h1 });
    } catch (error) {
      assert.ok(error instanceof CheckFailed, `${error}`);
    }
  }
  assert.ok(accepted.length > 100 && accepted.length < 4000, `${accepted.length} of 5000`);
  const hashes = await withDirectory(async (directory) => {
    const files = accepted.map((_, index) => join(directory, `${index}.zip`));
    await Promise.all(files.map((file, index) => writeFile(file, accepted[index]?.zip ?? '')));
    const program = join(import.meta.dirname, 'hashes.go');
    const { stdout } = await runGo(['run', program], { directory, input: files.join('\n') });
    return stdout.trimEnd().split('\n');
  });
  assert.deepEqual(
    accepted.map(({ h1 }) => h1),
    hashes,
  );
});
