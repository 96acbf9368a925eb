/**
 * Goal: a path is refused if Go refuses it, and two paths count as one if Go says so.
 * Method: a table of paths, and every code point in Go's own tables (folds.go).
 */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { filePathProblem, foldPath } from '../../src/modzip/file-path.ts';
import { ZIP_PATHS_MAX } from '../../src/modzip/limits.ts';
import { PathCollisions } from '../../src/modzip/path-collisions.ts';
import { runGo, withDirectory } from './go.ts';

// Rows of checkPathTests in x/mod/module whose verdicts on files and on imports differ.
const paths = [
  { path: 'x.y/z', ok: true },
  { path: '-x', ok: true, why: 'a dash may lead a file name' },
  { path: '/x', ok: false },
  { path: 'x/', ok: false },
  { path: 'x//y', ok: false },
  { path: 'x/./y', ok: false },
  { path: 'x..y', ok: true },
  { path: 'x/.y', ok: true },
  { path: 'x.', ok: false },
  { path: 'aux', ok: false },
  { path: 'AUX.txt.gz', ok: false, why: 'Windows looks at what is before the first dot' },
  { path: 'com1 ', ok: true, why: 'Go compares the whole part before the dot' },
  { path: 'x/COM0', ok: true },
  { path: 'foo~1', ok: true, why: 'short names matter to import paths only' },
  { path: 'x/\tbell', ok: false },
  { path: '日本語', ok: true },
  { path: '\ufeffx', ok: false, why: 'a byte order mark is no letter' },
  { path: '\ud800', ok: false, why: 'half a character' },
];
for (const { path, ok, why } of paths) {
  test(`${JSON.stringify(path)} is ${ok ? '' : 'not '}a file path${why ? `: ${why}` : ''}`, () => {
    assert.equal(filePathProblem(path) === undefined, ok);
  });
}

test('every code point folds into the same class as in Go, and is allowed if Go allows it', async () => {
  const { stdout, stderr } = await withDirectory((directory) =>
    runGo(['run', join(import.meta.dirname, 'folds.go')], { directory }),
  );
  const known = stdout
    .trimEnd()
    .split('\n')
    .map((line) => line.split(' '));
  assert.ok(known.length > 100_000, stderr);
  for (const [code, least, isLetter] of known) {
    const character = String.fromCodePoint(Number(code));
    if (Number(code) >= 0xd800 && Number(code) < 0xe000) continue;
    assert.equal(
      filePathProblem(character) === undefined,
      isLetter === 'true',
      `U+${Number(code).toString(16)}`,
    );
    if (isLetter === 'true') {
      assert.equal(
        foldPath(character),
        foldPath(String.fromCodePoint(Number(least))),
        `U+${Number(code).toString(16)}`,
      );
    }
  }
  const letters = known.filter(([, , isLetter]) => isLetter === 'true');
  const classes = new Set(letters.map(([, least]) => least));
  const folds = new Set(letters.map(([code]) => foldPath(String.fromCodePoint(Number(code)))));
  assert.equal(folds.size, classes.size, 'no two of its classes may become one');
});

test('all of ASCII folds by its capitals alone', () => {
  const ascii = String.fromCharCode(...Array(128).keys());
  assert.equal(
    foldPath(ascii),
    ascii.replace(/[A-Z]/g, (letter) => letter.toLowerCase()),
  );
});

test('a few entries with deep names cannot fill the memory', () => {
  const collisions = new PathCollisions();
  const deep = 'a/'.repeat(2000);
  const fill = () => {
    for (let index = 0; index < ZIP_PATHS_MAX / 2000; index++) collisions.add(`${index}/${deep}x`, false);
  };
  assert.throws(fill, { name: 'CheckFailed', message: /more than 500000 files and directories/ });
});
