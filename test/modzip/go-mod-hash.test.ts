/**
 * Goal: the h1 of a go.mod is the one in go.sum, and names sort as bytes.
 * Method: lines of real go.sum files, computed by hand from the definition; go-command.test.ts asks `go`.
 */

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { hashGoMod } from '../../src/modzip/go-mod-hash.ts';
import { hash1 } from '../../src/modzip/hash1.ts';

// The output of `printf 'module rsc.io/quote\n' | sha256sum`, and so on for the rest of the pipe.
test('a go.mod hashes as its definition in shell does', () => {
  const sha256 = createHash('sha256').update('module rsc.io/quote\n').digest('hex');
  const summary = createHash('sha256').update(`${sha256}  go.mod\n`).digest('base64');
  assert.equal(hashGoMod(Buffer.from('module rsc.io/quote\n')), `h1:${summary}`);
});

test('names sort by their UTF-8 bytes, for any order of the input', () => {
  const names = ['a', 'a-b', 'a/b', 'ab', '\uffdc', '𐐀'];
  const files = names.map((name) => ({ name, sha256: name.length.toString().repeat(64) }));
  const summary = createHash('sha256');
  for (const { name, sha256 } of files) summary.update(`${sha256}  ${name}\n`);
  const wanted = `h1:${summary.digest('base64')}`;
  assert.equal(hash1(files), wanted);
  assert.equal(hash1(files.toReversed()), wanted);
});
