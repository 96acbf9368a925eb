// Goal: versions of one package's archive have one key, all else has another or none, however the bytes come.
// Method: made-up archives in pieces of any size.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { PackageScan } from '../../src/core/package-key.ts';
import { goArchive } from '../support/go-archive.ts';

function keyOf(output: Buffer, firstBytes = output.length): string | undefined {
  const scan = new PackageScan();
  scan.push(output.subarray(0, firstBytes));
  scan.push(output.subarray(firstBytes));
  return scan.key()?.toString('hex');
}

test('versions of one package have one key', () => {
  const key = keyOf(goArchive({ path: 'example.com/lib' }));
  assert.match(key ?? '', /^[0-9a-f]{16}$/);
  assert.equal(keyOf(goArchive({ path: 'example.com/lib', body: randomBytes(77) })), key);
});

test('another package, or another target, has another key', () => {
  const keys = [
    { path: 'example.com/lib' },
    { path: 'example.com/library' },
    { path: 'example.com/li' },
    { path: 'example.com/lib', target: 'linux arm64 go1.26.8' },
    { path: 'example.com/lib', target: 'linux amd64 go1.26.9' },
  ].map((of) => keyOf(goArchive(of)));
  assert.equal(new Set(keys).size, keys.length);
  assert.ok(!keys.includes(undefined));
});

test('it does not matter where the pieces end', () => {
  const archive = goArchive({ path: 'example.com/lib', body: Buffer.alloc(1000, 'x') });
  const key = keyOf(archive);
  for (let at = 600; at < archive.length; at++) assert.equal(keyOf(archive, at), key, String(at));
});

for (const { why, output } of [
  { why: 'nothing', output: Buffer.alloc(0) },
  { why: 'text', output: Buffer.from('go:cuinfo.producer.agо:cuinfo.packagename.a') },
  { why: 'an archive without a name', output: goArchive({ path: 'a' }).subarray(0, 200) },
  {
    why: 'an archive without a target',
    output: Buffer.concat([Buffer.from('!<arch>\n'), Buffer.alloc(9000, 'x')]),
  },
])
  test(`it is of no package: ${why}`, () => {
    assert.equal(keyOf(output), undefined);
  });
