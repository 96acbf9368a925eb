// Goal: a module zip holds the chosen files of a tar as git writes it, is the same each time, and is refused where the tar
// is not whole or holds too much.
// Method: tars of real git, with names at the bounds of what tar can hold; the zip is read by modzip, which is tested
// against Go. Damaged tars are cut or patched ones.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { after, before, test } from 'node:test';
import { NotFound, UpstreamFailed } from '../../src/core/errors.ts';
import { CHUNK_BYTES, SMALL_BYTES_MAX, ZIP_BYTES_MAX } from '../../src/core/limits.ts';
import { archiveZip } from '../../src/git/archive-zip.ts';
import { bufferSource } from '../../src/modzip/byte-source.ts';
import { streamContent } from '../../src/modzip/zip-content.ts';
import { readZipDirectory } from '../../src/modzip/zip-directory.ts';
import { tempDir } from '../support/temp-dir.ts';
import { type MadeFile, makeRepository } from './repository-maker.ts';

const NOISE = randomBytes(2 * CHUNK_BYTES);

const FILES: Readonly<Record<string, string | Buffer>> = {
  'go.mod': 'module corp.example/m\n',
  empty: '',
  'p.go': 'package p\n'.repeat(100_000),
  noise: NOISE,
  'block.txt': 'x'.repeat(512),
  'é/ü.go': 'package e\n',
  [`${'d'.repeat(99)}/${'f'.repeat(100)}`]: 'the name is in two fields',
  ['n'.repeat(200)]: 'the name is in a record',
  [`${'é'.repeat(100)}/${'x/'.repeat(150)}f`]: 'the name is in a record, and has letters of two bytes',
};
const LEFT_OUT: Readonly<Record<string, MadeFile>> = {
  link: { link: `${'t'.repeat(150)}/target` },
  'not.go': 'package not\n',
  sub: { module: '1'.repeat(40) },
};

let repository: string;
let tar: Buffer;

const own: (() => void)[] = [];
before(() => {
  repository = tempDir({ after: (dispose) => own.push(dispose) });
  makeRepository(repository, [{ files: { ...FILES, ...LEFT_OUT } }]);
  tar = archive('main');
});
after(() => {
  for (const dispose of own) dispose();
});

function archive(...args: string[]): Buffer {
  return execFileSync('git', ['--git-dir', repository, 'archive', '--format=tar', ...args], {
    maxBuffer: 64 * 1024 * 1024,
  });
}

type Chosen = { paths?: readonly string[]; license?: Uint8Array; pieceBytes?: number };

async function zipped(
  bytes: Buffer,
  { paths = Object.keys(FILES), license, pieceBytes = 65_536 }: Chosen = {},
) {
  async function* pieces() {
    for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes);
  }
  const options = { paths: new Set(paths), below: '', prefix: 'corp.example/m@v1.0.0/', license };
  const chunks: Buffer[] = [];
  for await (const chunk of archiveZip(pieces(), options)) chunks.push(chunk);
  for (const chunk of chunks) assert.equal(chunk.buffer.byteLength, chunk.length, 'a buffer for itself');
  for (const chunk of chunks.slice(0, -1)) assert.equal(chunk.length, CHUNK_BYTES);
  return Buffer.concat(chunks);
}

function contentOf(zip: Buffer): Record<string, Buffer> {
  const source = bufferSource(zip);
  const found = [...readZipDirectory(source)].map((entry) => {
    const pieces: Buffer[] = [];
    streamContent(source, entry, (piece) => pieces.push(Buffer.from(piece)));
    return [entry.name.replace('corp.example/m@v1.0.0/', ''), Buffer.concat(pieces)] as const;
  });
  return Object.fromEntries(found);
}

const expected = () =>
  Object.fromEntries(Object.entries(FILES).map(([name, content]) => [name, Buffer.from(content)]));

for (const pieceBytes of [100, 10_240, 65_536]) {
  test(`the chosen files are there, under any name that tar can hold; pieces of ${pieceBytes} bytes`, async () => {
    assert.deepEqual(contentOf(await zipped(tar, { pieceBytes })), expected());
  });
}

test('the same commit gives the same bytes, however it comes', async () => {
  const zip = await zipped(tar);
  assert.ok(zip.equals(await zipped(archive('main'), { pieceBytes: 777 })));
});

test('a LICENSE from elsewhere is the last file', async () => {
  const license = Buffer.from('do as you like\n');
  const content = contentOf(await zipped(tar, { license }));
  assert.deepEqual(content, { ...expected(), LICENSE: license });
  assert.equal(Object.keys(content).at(-1), 'LICENSE');
});

const refused: { why: string; tar: () => Buffer; paths?: string[]; error: new (message: string) => Error }[] =
  [
    { why: 'a file is missing', tar: () => tar, paths: ['not.there'], error: UpstreamFailed },
    { why: 'a chosen file is a link', tar: () => tar, paths: ['link'], error: UpstreamFailed },
    { why: 'its end is missing', tar: () => tar.subarray(0, 1_000_000), error: UpstreamFailed },
    { why: 'it is cut within a header', tar: () => tar.subarray(0, 100), error: UpstreamFailed },
    { why: 'it is empty', tar: () => Buffer.alloc(0), error: UpstreamFailed },
    { why: 'it is none', tar: () => Buffer.from('<html>'.repeat(200)), error: UpstreamFailed },
    {
      why: 'a size is none',
      tar: () => sized('go.mod', 'no number'),
      paths: ['go.mod'],
      error: UpstreamFailed,
    },
    { why: 'all is too large', tar: () => sized('p.go', octal(ZIP_BYTES_MAX + 1)), error: NotFound },
    { why: 'go.mod is too large', tar: () => sized('go.mod', octal(SMALL_BYTES_MAX + 1)), error: NotFound },
  ];

for (const { why, tar: bad, paths, error } of refused) {
  test(`a tar is refused: ${why}`, async () => {
    await assert.rejects(zipped(bad(), paths === undefined ? {} : { paths }), error);
  });
}

/** The tar, with another size in a file's header. */
function sized(name: string, size: string): Buffer {
  const patched = Buffer.from(tar);
  const at = patched.indexOf(`${name}\0`);
  assert.equal(at % 512, 0);
  patched.write(`${size}\0`, at + 124, 12, 'latin1');
  return patched;
}

function octal(bytes: number): string {
  return bytes.toString(8).padStart(11, '0');
}
