// Goal: the canonical form of versions, their order, and the modules that they fit are as in Go.
// Method: the rows of x/mod's semver_test.go and module_test.go in their order, then our own rows, and properties over
// generated versions.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { BadRequest } from '../../src/core/errors.ts';
import { KEY_LENGTH_MAX } from '../../src/core/limits.ts';
import { parseModulePath } from '../../src/core/module-path.ts';
import {
  checkMajor,
  compareVersions,
  escapeVersion,
  isPrerelease,
  majorOf,
  parseVersion,
  queryOf,
  unescapeVersion,
  type Version,
} from '../../src/core/version.ts';

function version(text: string): Version {
  const parsed = parseVersion(text);
  assert.ok(parsed !== undefined, `not canonical: ${text}`);
  return parsed;
}

const notCanonical: { text: string; why: string }[] = [
  { text: 'bad', why: 'no version' },
  { text: 'v1-alpha.beta.gamma', why: 'prerelease of a short version' },
  { text: 'v1-pre', why: 'prerelease of a short version' },
  { text: 'v1+meta', why: 'build of a short version' },
  { text: 'v1.2-pre', why: 'prerelease of a short version' },
  { text: 'v1', why: 'short' },
  { text: 'v1.0', why: 'short' },
  { text: 'v1.2', why: 'short' },
  { text: 'v1.2.3-pre+meta', why: 'build metadata' },
  { text: 'v1.2.3+meta', why: 'build metadata' },
  { text: 'v1.2.3+meta-pre', why: 'build metadata' },
  { text: 'v1.2.3+meta-pre.sha.256a', why: 'build metadata' },
  { text: '1.2.3', why: 'no v' },
  { text: 'V1.2.3', why: 'a capital V' },
  { text: 'v01.2.3', why: 'leading zero' },
  { text: 'v1.02.3', why: 'leading zero' },
  { text: 'v1.2.03', why: 'leading zero' },
  { text: 'v1.2.3-01', why: 'leading zero in a number of the prerelease' },
  { text: 'v1.2.3-', why: 'empty prerelease' },
  { text: 'v1.2.3-a..b', why: 'empty identifier' },
  { text: 'v1.2.3-a_b', why: 'underscore' },
  { text: 'v1.2.3+incompatible.1', why: 'more than +incompatible' },
  { text: 'v1.2.3.4', why: 'a fourth number' },
  { text: 'v1.2.3\n', why: 'a line break behind it' },
  { text: 'v1.2.3-١', why: 'a digit that is not ASCII' },
  { text: '', why: 'nothing' },
  { text: `v1.2.3-${'1'.repeat(KEY_LENGTH_MAX)}`, why: 'endless' },
];

for (const { text, why } of notCanonical) {
  test(`not canonical: ${JSON.stringify(text.slice(0, 40))}: ${why}`, () => {
    assert.equal(parseVersion(text), undefined);
  });
}

/** Lowest first. The versions of one row are equal. */
const ordered: readonly (readonly string[])[] = [
  ['v0.0.0-20160102150405-abcdef123456'],
  ['v0.0.1-go1.9.0.linux-amd64'],
  ['v0.0.1-go1.27.0.linux-amd64'],
  ['v1.0.0-0'],
  ['v1.0.0-2'],
  ['v1.0.0-11'],
  ['v1.0.0-99999999999999999998'],
  ['v1.0.0-99999999999999999999'],
  ['v1.0.0-100000000000000000000'],
  ['v1.0.0--'],
  ['v1.0.0-01a'],
  ['v1.0.0-A'],
  ['v1.0.0-alpha'],
  ['v1.0.0-alpha.1'],
  ['v1.0.0-alpha.beta'],
  ['v1.0.0-beta'],
  ['v1.0.0-beta.2'],
  ['v1.0.0-beta.11'],
  ['v1.0.0-rc.1'],
  ['v1.0.0'],
  ['v1.2.0'],
  ['v1.2.3-456'],
  ['v1.2.3-456.789'],
  ['v1.2.3-456-789'],
  ['v1.2.3-456a'],
  ['v1.2.3-pre'],
  ['v1.2.3-pre.1'],
  ['v1.2.3-zzz'],
  ['v1.2.3'],
  ['v1.10.0'],
  ['v2.0.0-pre+incompatible', 'v2.0.0-pre'],
  ['v2.0.0', 'v2.0.0+incompatible'],
  ['v9.0.0'],
  ['v10.0.0'],
  ['v99999999999999999999.0.0'],
  ['v100000000000000000000.0.0'],
];

test('versions have the precedence of semantic versioning, and +incompatible has none', () => {
  const ranked = ordered.flatMap((texts, rank) => texts.map((text) => ({ at: version(text), rank })));
  for (const a of ranked) {
    for (const b of ranked) {
      assert.equal(Math.sign(compareVersions(a.at, b.at)), Math.sign(a.rank - b.rank), `${a.at} ${b.at}`);
    }
  }
});

const facts: { text: string; major: string; prerelease: boolean }[] = [
  { text: 'v1.2.3', major: 'v1', prerelease: false },
  { text: 'v1.2.3-pre', major: 'v1', prerelease: true },
  { text: 'v17.0.0+incompatible', major: 'v17', prerelease: false },
  { text: 'v17.0.0-rc.1+incompatible', major: 'v17', prerelease: true },
  { text: 'v0.0.0-20160102150405-abcdef123456', major: 'v0', prerelease: true },
];

for (const { text, major, prerelease } of facts) {
  test(`${text} is of ${major} and ${prerelease ? 'a prerelease' : 'a release'}`, () => {
    assert.equal(majorOf(version(text)), major);
    assert.equal(isPrerelease(version(text)), prerelease);
  });
}

const majors: { path: string; fits: readonly string[]; not: readonly string[] }[] = [
  { path: 'github.com/go-yaml/yaml', fits: ['v0.8.0', 'v1.0.0'], not: ['v2.0.0', 'v2.1.5', 'v3.0.0'] },
  { path: 'github.com/go-yaml/yaml/v2', fits: ['v2.0.0', 'v2.1.5'], not: ['v0.0.0', 'v1.0.0', 'v3.0.0'] },
  { path: 'github.com/go-yaml/yaml/v2', fits: ['v2.0.0+incompatible'], not: ['v20.0.0'] },
  { path: 'gopkg.in/yaml.v0', fits: ['v0.8.0'], not: ['v1.0.0', 'v2.0.0', 'v2.1.5', 'v3.0.0'] },
  { path: 'gopkg.in/yaml.v1', fits: ['v1.0.0'], not: ['v0.8.0', 'v2.0.0', 'v2.1.5', 'v3.0.0'] },
  { path: 'gopkg.in/check.v1', fits: ['v0.0.0-20160102150405-abcdef123456'], not: ['v0.0.0'] },
  { path: 'gopkg.in/yaml.v2', fits: ['v2.0.0', 'v2.1.5'], not: ['v1.0.0', 'v3.0.0'] },
  { path: 'rsc.io/quote', fits: ['v17.0.0+incompatible'], not: ['v17.0.0'] },
  { path: 'gopkg.in/yaml.v1-unstable', fits: ['v1.0.0'], not: ['v2.0.0'] },
  { path: 'golang.org/toolchain', fits: ['v0.0.1-go1.27.0.linux-amd64'], not: [] },
];

for (const { path, fits, not } of majors) {
  test(`${path} has ${fits} and not ${not}`, () => {
    for (const text of fits) assert.ok(checkMajor(parseModulePath(path), version(text)), text);
    for (const text of not) assert.ok(!checkMajor(parseModulePath(path), version(text)), text);
  });
}

const unescapes: { escaped: string; plain?: string; kind?: 'version' | 'query'; why: string }[] = [
  { escaped: 'v1.2.3', plain: 'v1.2.3', kind: 'version', why: 'canonical' },
  { escaped: 'v1.2.3-!r!c1', plain: 'v1.2.3-RC1', kind: 'version', why: 'canonical with capitals' },
  { escaped: 'v2.0.0+incompatible', plain: 'v2.0.0+incompatible', kind: 'version', why: 'the one build' },
  {
    escaped: 'v0.0.1-go1.27.0.linux-amd64',
    plain: 'v0.0.1-go1.27.0.linux-amd64',
    kind: 'version',
    why: 'toolchain',
  },
  { escaped: 'v1', plain: 'v1', kind: 'query', why: 'a prefix' },
  { escaped: 'v1.2', plain: 'v1.2', kind: 'query', why: 'a prefix' },
  { escaped: 'v1.2.3+meta', plain: 'v1.2.3+meta', kind: 'query', why: 'another build' },
  { escaped: 'master', plain: 'master', kind: 'query', why: 'a branch' },
  { escaped: '!main', plain: 'Main', kind: 'query', why: 'a branch with a capital' },
  { escaped: 'deadbeef', plain: 'deadbeef', kind: 'query', why: 'a commit' },
  { escaped: '.hidden', plain: '.hidden', kind: 'query', why: 'a leading dot is a file name' },
  { escaped: 'a b@{1}', plain: 'a b@{1}', kind: 'query', why: 'punctuation that file names have' },
  { escaped: 'x~1', plain: 'x~1', kind: 'query', why: 'short names are refused in paths only' },
  { escaped: 'v1.2.3-RC1', why: 'a raw capital' },
  { escaped: 'v1!', why: 'a lone !' },
  { escaped: 'feature/x', why: 'a slash' },
  { escaped: '..', why: 'dots only' },
  { escaped: 'v1.', why: 'trailing dot' },
  { escaped: '', why: 'nothing' },
  { escaped: 'con', why: 'reserved on Windows' },
  { escaped: '!a!u!x.1', why: 'reserved on Windows' },
  { escaped: 'a:b', why: 'colon' },
  { escaped: 'a\\b', why: 'backslash' },
  { escaped: 'a\0', why: 'NUL' },
  { escaped: 'é', why: 'not ASCII' },
  { escaped: 'x'.repeat(KEY_LENGTH_MAX + 1), why: 'endless' },
];

for (const { escaped, plain, kind, why } of unescapes) {
  test(`${JSON.stringify(escaped.slice(0, 40))} is ${kind ?? 'refused'}: ${why}`, () => {
    if (plain === undefined) {
      assert.throws(() => unescapeVersion(escaped), BadRequest);
      return;
    }
    const asked = unescapeVersion(escaped);
    const text = asked.kind === 'version' ? asked.version : asked.query;
    assert.equal(asked.kind, kind);
    assert.equal(text, plain);
    assert.equal(escapeVersion(text), escaped);
  });
}

test('a version and its query escape to the same text', () => {
  assert.equal(escapeVersion(queryOf(version('v3.0.0-RC'))), 'v3.0.0-!r!c');
});

const number = fc.oneof(fc.nat(12).map(String), fc.bigInt({ min: 0n, max: 10n ** 30n }).map(String));
const identifier = fc.oneof(number, fc.stringMatching(/^[0-9]{0,2}[A-Za-z-][0-9A-Za-z-]{0,3}$/));
const generated = fc
  .tuple(number, number, number, fc.array(identifier, { maxLength: 3 }), fc.boolean())
  .map(
    ([a, b, c, pre, old]) =>
      `v${a}.${b}.${c}${pre.length ? `-${pre.join('.')}` : ''}${old ? '+incompatible' : ''}`,
  );

test('every generated version is canonical and round-trips', () => {
  fc.assert(
    fc.property(generated, (text) => {
      assert.deepEqual(unescapeVersion(escapeVersion(version(text))), { kind: 'version', version: text });
    }),
  );
});

test('the order is total: antisymmetric and transitive, and equal versions differ at most by +incompatible', () => {
  fc.assert(
    fc.property(fc.tuple(generated, generated, generated), (texts) => {
      const [a, b, c] = texts.map(version).sort(compareVersions);
      assert.ok(a !== undefined && b !== undefined && c !== undefined);
      assert.ok(compareVersions(a, b) <= 0 && compareVersions(b, c) <= 0 && compareVersions(a, c) <= 0);
      assert.equal(Math.sign(compareVersions(a, c)), -Math.sign(compareVersions(c, a)));
      const bare = (text: string) => text.replace('+incompatible', '');
      assert.equal(compareVersions(a, b) === 0, bare(a) === bare(b));
    }),
  );
});

test('arbitrary text is accepted only if it escapes back to itself; any other is a BadRequest', () => {
  const text = fc.oneof(fc.string({ unit: 'binary' }), fc.stringMatching(/^v?[!a-z0-9.+-]{1,12}$/));
  fc.assert(
    fc.property(text, (escaped) => {
      try {
        const asked = unescapeVersion(escaped);
        assert.equal(escapeVersion(asked.kind === 'version' ? asked.version : asked.query), escaped);
      } catch (error) {
        if (!(error instanceof BadRequest)) throw error;
      }
    }),
    { numRuns: 2000 },
  );
});
