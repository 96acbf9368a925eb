// Goal: pseudo-versions differ from tags, and their time and commit are read, as in Go.
// Method: the canonical rows of x/mod's pseudo_test.go, in order, each with the tag that it was made from.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isPseudoVersion, pseudoVersionRev, pseudoVersionTime } from '../../src/core/pseudo-version.ts';
import { parseVersion, type Version } from '../../src/core/version.ts';

function version(text: string): Version {
  const parsed = parseVersion(text);
  assert.ok(parsed !== undefined, `not canonical: ${text}`);
  return parsed;
}

const made: { pseudo: string; tag?: string }[] = [
  { pseudo: 'v0.0.0-20060102150405-hash' },
  { pseudo: 'v1.0.0-20060102150405-hash' },
  { pseudo: 'v2.0.0-20060102150405-hash' },
  { pseudo: 'v0.0.1-0.20060102150405-hash', tag: 'v0.0.0' },
  { pseudo: 'v1.2.4-0.20060102150405-hash', tag: 'v1.2.3' },
  { pseudo: 'v1.2.100000000000000000-0.20060102150405-hash', tag: 'v1.2.99999999999999999' },
  { pseudo: 'v1.2.3-pre.0.20060102150405-hash', tag: 'v1.2.3-pre' },
  { pseudo: 'v1.3.0-pre.0.20060102150405-hash', tag: 'v1.3.0-pre' },
  { pseudo: 'v0.0.0--.0.20060102150405-hash', tag: 'v0.0.0--' },
  { pseudo: 'v2.0.1-0.20060102150405-hash+incompatible', tag: 'v2.0.0+incompatible' },
  { pseudo: 'v2.3.0-pre.0.20060102150405-hash+incompatible', tag: 'v2.3.0-pre+incompatible' },
];

for (const { pseudo, tag } of made) {
  test(`${pseudo} is a pseudo-version, ${tag ?? 'nothing'} before it is not`, () => {
    assert.ok(isPseudoVersion(version(pseudo)));
    assert.equal(pseudoVersionTime(version(pseudo))?.toISOString(), '2006-01-02T15:04:05.000Z');
    assert.equal(pseudoVersionRev(version(pseudo)), 'hash');
    if (tag === undefined) return;
    assert.ok(!isPseudoVersion(version(tag)));
    assert.equal(pseudoVersionTime(version(tag)), undefined);
    assert.equal(pseudoVersionRev(version(tag)), undefined);
  });
}

const tags: { text: string; why: string }[] = [
  { text: 'v1.2.3-20060102150405-hash', why: 'no 0. before the time, and not X.0.0' },
  { text: 'v1.0.0-2006010215040-hash', why: 'thirteen digits' },
  { text: 'v1.0.0-20060102150405', why: 'no commit' },
  { text: 'v1.0.0-20060102150405-ha.sh', why: 'a dot in the commit' },
  { text: 'v0.0.1-go1.27.0.linux-amd64', why: 'a toolchain' },
];

for (const { text, why } of tags) {
  test(`${text} is a tag: ${why}`, () => {
    assert.ok(!isPseudoVersion(version(text)));
  });
}

const noTimes: { stamp: string; why: string }[] = [
  { stamp: '20061302150405', why: 'month 13' },
  { stamp: '20060230150405', why: 'February 30' },
  { stamp: '20060102240000', why: 'hour 24' },
  { stamp: '20060102156000', why: 'minute 60' },
];

for (const { stamp, why } of noTimes) {
  test(`a pseudo-version of ${stamp} is one, but has no time: ${why}`, () => {
    assert.ok(isPseudoVersion(version(`v0.0.0-${stamp}-hash`)));
    assert.equal(pseudoVersionTime(version(`v0.0.0-${stamp}-hash`)), undefined);
  });
}

test('the zero pseudo-version is of the year 1', () => {
  const time = pseudoVersionTime(version('v0.0.0-00010101000000-000000000000'));
  assert.equal(time?.toISOString(), '0001-01-01T00:00:00.000Z');
});
