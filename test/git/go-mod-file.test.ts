// Goal: go.mod files are read as Go reads those of dependencies, and pseudo-versions are made and taken apart as Go does it.
// Method: tables; rows from golang.org/x/mod keep its order.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makePseudoVersion, pseudoVersionBase } from '../../src/core/pseudo-version.ts';
import { parseVersion, type Version } from '../../src/core/version.ts';
import { isGo124, isRetracted, modulePathIn, parseGoModLax } from '../../src/git/go-mod-file.ts';
import { canonicalOf, compareSemver, isPseudoText } from '../../src/git/semver.ts';

// Rows of modulePathTests in x/mod/modfile/read_test.go.
const paths: [string, string][] = [
  ['module "github.com/rsc/vgotest"', 'github.com/rsc/vgotest'],
  ['module github.com/rsc/vgotest', 'github.com/rsc/vgotest'],
  ['module  "github.com/rsc/vgotest"', 'github.com/rsc/vgotest'],
  ['module  github.com/rsc/vgotest', 'github.com/rsc/vgotest'],
  ['module `github.com/rsc/vgotest`', 'github.com/rsc/vgotest'],
  ['module \t"github.com/rsc/vgotest/v2"', 'github.com/rsc/vgotest/v2'],
  ['module "github.com/rsc/vgotest" // comment', 'github.com/rsc/vgotest'],
  ['// comment\nmodule a.b/c\n', 'a.b/c'],
  ['module a.b/c\nmodule d.e/f\n', 'a.b/c'],
  ['modulea.b/c\n', ''],
  ['module\n', ''],
  ['module "a.b/c', ''],
  ['', ''],
  ['\ufeffmodule a.b/c\n', ''],
];

test('the module line', () => {
  for (const [text, path] of paths) assert.equal(modulePathIn(Buffer.from(text)), path, text);
});

const versions: [string, boolean][] = [
  ['go 1.24\n', true],
  ['go 1.24.1\n', true],
  ['go 1.24rc1\n', true],
  ['go 2.0\n', true],
  ['go 1.100\n', true],
  ['go 1.23.9\n', false],
  ['go 1.9\n', false],
  ['', false],
  ['go v1.24x\n', true],
  ['go 1.24.1rc1\n', false],
  ['go 1.24\ngo 1.24\n', false],
  ['go 1.24 x\n', false],
  ['go 1.24\nrequire a.b/c master\n', false],
  ['go 1.24\nrequire a.b/c v1\n', true],
  ['go 1.24\nrequire a.b/c v2.0.0\n', false],
  ['go 1.24\nrequire a.b/c v2.0.0+incompatible\n', true],
  ['go 1.24\nrequire a.b/c/v2 v2.0.0\n', true],
  ['go 1.24\nrequire (\n\ta.b/c v1.0.0 // indirect\n)\n', true],
  ['go 1.24\nrequire (\n\ta.b/c v1.0.0\n', false],
  ['go 1.24\nrequire (\n\ta.b/c v1.0.0\n) x\n', false],
  ['go 1.24\nreplace x => y z w q\n', true],
  ['go 1.24\nnew thing (\n\twhatever "\n)\n', false],
  ['go 1.24\nnew thing (\n\twhatever\n)\n', true],
  ['go 1.24\n/* x */\n', false],
  ['go 1.24 // x\n', true],
  ['go 1.24\nmodule a\nmodule b\n', false],
  ["go 1.24\nmodule 'a'\n", false],
  ['go 1.24\r\n', true],
  ['go (\n\t1.24\n)\n', false],
  ['go 1.24\nretract whatever this is\n', true],
];

test('the go line, in a file that ParseLax takes', () => {
  for (const [text, is] of versions) assert.equal(isGo124(Buffer.from(text)), is, JSON.stringify(text));
});

test('retractions', () => {
  const text =
    'retract v1.0.0 // why\nretract (\n\t[v1.2.0, v1.3.0]\n\t"v1.5.0"\n)\nretract [v1.7.0,\nretract (v1.8.0)\n';
  const file = parseGoModLax(Buffer.from(text));
  assert.ok(file !== undefined);
  const retracted = [
    'v1.0.0',
    'v1.1.0',
    'v1.2.0',
    'v1.2.5',
    'v1.3.0',
    'v1.3.1',
    'v1.5.0',
    'v1.7.0',
    'v1.8.0',
  ];
  assert.deepEqual(
    retracted.filter((one) => isRetracted(file.retracted, one)),
    ['v1.0.0', 'v1.2.0', 'v1.2.5', 'v1.3.0', 'v1.5.0'],
  );
});

// Rows of pseudoTests in x/mod/module/pseudo_test.go.
const pseudo: { major: string; older: string; version: string }[] = [
  { major: '', older: '', version: 'v0.0.0-20060102150405-hash' },
  { major: 'v0', older: '', version: 'v0.0.0-20060102150405-hash' },
  { major: 'v1', older: '', version: 'v1.0.0-20060102150405-hash' },
  { major: 'v2', older: '', version: 'v2.0.0-20060102150405-hash' },
  { major: 'unused', older: 'v0.0.0', version: 'v0.0.1-0.20060102150405-hash' },
  { major: 'unused', older: 'v1.2.3', version: 'v1.2.4-0.20060102150405-hash' },
  {
    major: 'unused',
    older: 'v1.2.99999999999999999',
    version: 'v1.2.100000000000000000-0.20060102150405-hash',
  },
  { major: 'unused', older: 'v1.2.3-pre', version: 'v1.2.3-pre.0.20060102150405-hash' },
  { major: 'unused', older: 'v1.3.0-pre', version: 'v1.3.0-pre.0.20060102150405-hash' },
  { major: 'unused', older: 'v0.0.0--', version: 'v0.0.0--.0.20060102150405-hash' },
  { major: 'unused', older: 'v1.0.0+incompatible', version: 'v1.0.1-0.20060102150405-hash+incompatible' },
  {
    major: 'unused',
    older: 'v2.3.4-pre+incompatible',
    version: 'v2.3.4-pre.0.20060102150405-hash+incompatible',
  },
];

test('pseudo-versions are made as Go makes them, and lead back to their base', () => {
  const time = new Date(Date.UTC(2006, 0, 2, 15, 4, 5));
  for (const { major, older, version } of pseudo) {
    const base = older === '' ? undefined : must(older);
    assert.equal(makePseudoVersion({ major: major || 'v0', base, time, rev: 'hash' }), version);
    assert.equal(pseudoVersionBase(must(version)), older === '' ? 'none' : older);
  }
  for (const none of ['v1.0.0', 'v0.0.0-0.20060102150405-hash', 'v2.0.0-20060102150405-hash+incompatible'])
    assert.equal(pseudoVersionBase(must(none)), undefined, none);
});

function must(text: string): Version {
  const version = parseVersion(text);
  assert.ok(version !== undefined, text);
  return version;
}

test('versions in tags', () => {
  assert.equal(canonicalOf('v1.2'), 'v1.2.0');
  assert.equal(canonicalOf('v1.2.3-x+y'), 'v1.2.3-x');
  assert.equal(canonicalOf('v1.2-x'), undefined);
  assert.equal(canonicalOf('v01.2.3'), undefined);
  assert.ok(compareSemver('v1.0.0', 'nothing') > 0);
  assert.equal(compareSemver('nothing', 'at all'), 0);
  assert.ok(compareSemver('v1.0.0+a', 'v1.0.0') === 0);
  assert.ok(isPseudoText('v0.0.0-20060102150405-hash+x'));
  assert.ok(!isPseudoText('v0.0.0-2006-hash'));
});
