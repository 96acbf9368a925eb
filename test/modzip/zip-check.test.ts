/**
 * Goal: the directory alone decides about a module zip's declared sizes and names, before any content is read.
 * Method: zips with false declarations that only the content would show. go-command.test.ts has the rules on names,
 * judged by `go`.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SMALL_BYTES_MAX, ZIP_BYTES_MAX } from '../../src/core/limits.ts';
import { bufferSource } from '../../src/modzip/byte-source.ts';
import { checkZip } from '../../src/modzip/zip-check.ts';
import { makeZip, type TestEntry } from './zip-writer.ts';

const OWNER = { module: 'm.example/x', version: 'v1.0.0' };
const f = (path: string, bytes = 0): TestEntry => ({ name: `m.example/x@v1.0.0/${path}`, bytes });

const taken = [
  { why: 'as many bytes as may be', entries: [f('a', ZIP_BYTES_MAX - 1), f('b', 1)] },
  { why: 'directories do not count', entries: [f('a', ZIP_BYTES_MAX), f('d/')] },
  { why: 'go.mod as large as may be', entries: [f('go.mod', SMALL_BYTES_MAX)] },
  {
    why: 'large files of other names',
    entries: [f('a/LICENSE', SMALL_BYTES_MAX + 1), f('go.sum', SMALL_BYTES_MAX + 1)],
  },
];
for (const { why, entries } of taken) {
  test(`taken: ${why}`, () => {
    const { contentBytes, files } = checkZip(bufferSource(makeZip(entries)), OWNER);
    assert.equal(
      contentBytes,
      entries.reduce((sum, { bytes = 0 }) => sum + bytes, 0),
    );
    assert.equal(files, entries.filter(({ name }) => !`${name}`.endsWith('/')).length);
  });
}

const refused = [
  { why: 'a byte more', entries: [f('a', ZIP_BYTES_MAX), f('b', 1)], says: /content of more than/ },
  { why: 'far more', entries: [{ ...f('a', 2 ** 60), zip64: true }], says: /content of more than/ },
  {
    why: 'the most 64 bits can say',
    entries: [{ ...f('a', 2 ** 64 - 2048), zip64: true }],
    says: /content of more/,
  },
  {
    why: 'go.mod too large',
    entries: [f('go.mod', SMALL_BYTES_MAX + 1)],
    says: /larger than 16777216 bytes: ".*go.mod"/,
  },
  { why: 'LICENSE too large', entries: [f('LICENSE', SMALL_BYTES_MAX + 1)], says: /larger than 16777216/ },
  {
    why: 'another version',
    entries: [{ name: 'm.example/x@v1.0.1/a' }],
    says: /outside "m.example\/x@v1.0.0\/": "m/,
  },
  { why: 'a name that only begins like it', entries: [{ name: 'm.example/x@v1.0.0' }], says: /outside/ },
  { why: 'case alone', entries: [f('a/x'), f('A/y')], says: /case only from "a": "A\/y"/ },
  { why: 'file and directory', entries: [f('a'), f('a/b')], says: /both a file and a directory: "a\/b"/ },
  { why: 'twice', entries: [f('a'), f('a')], says: /two entries for one file: "a"/ },
  { why: 'traversal', entries: [f('../../a')], says: /path element of dots: ".*"/ },
];
for (const { why, entries, says } of refused) {
  test(`refused: ${why}`, () => {
    assert.throws(() => checkZip(bufferSource(makeZip(entries)), OWNER), {
      name: 'CheckFailed',
      message: says,
    });
  });
}

test('refused unread: a zip over the limit', () => {
  const source = { size: ZIP_BYTES_MAX + 1, read: () => assert.fail('nothing may be read') };
  assert.throws(() => checkZip(source, OWNER), { name: 'CheckFailed', message: /larger than/ });
});
