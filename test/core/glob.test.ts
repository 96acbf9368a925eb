// Goal: a GOPRIVATE pattern matches the same modules as in the `go` command.
// Method: the rows of x/mod's TestMatchPrefixPatterns in its order, then rows after Go's path.Match, and properties.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isPrefixPatterns, matchPrefixPatterns } from '../../src/core/glob.ts';
import { parseModulePath } from '../../src/core/module-path.ts';

const rows: { patterns: string; path: string; matches: boolean }[] = [
  { patterns: '', path: 'rsc.io/quote', matches: false },
  { patterns: '/', path: 'rsc.io/quote', matches: false },
  { patterns: '*/quote', path: 'rsc.io/quote', matches: true },
  { patterns: '*/quo', path: 'rsc.io/quote', matches: false },
  { patterns: '*/quo??', path: 'rsc.io/quote', matches: true },
  { patterns: '*/quo*', path: 'rsc.io/quote', matches: true },
  { patterns: '*quo*', path: 'rsc.io/quote', matches: false },
  { patterns: 'rsc.io', path: 'rsc.io/quote', matches: true },
  { patterns: '*.io', path: 'rsc.io/quote', matches: true },
  { patterns: 'rsc.io/', path: 'rsc.io/quote', matches: true },
  { patterns: 'rsc', path: 'rsc.io/quote', matches: false },
  { patterns: 'rsc*', path: 'rsc.io/quote', matches: true },

  { patterns: 'rsc.io', path: 'rsc.io/quote/v3', matches: true },
  { patterns: '*/quote', path: 'rsc.io/quote/v3', matches: true },
  { patterns: '*/quote/', path: 'rsc.io/quote/v3', matches: true },
  { patterns: '*/quote/*', path: 'rsc.io/quote/v3', matches: true },
  { patterns: '*/quote/*/', path: 'rsc.io/quote/v3', matches: true },
  { patterns: '*/v3', path: 'rsc.io/quote/v3', matches: false },
  { patterns: '*/*/v3', path: 'rsc.io/quote/v3', matches: true },
  { patterns: '*/*/*', path: 'rsc.io/quote/v3', matches: true },
  { patterns: '*/*/*/', path: 'rsc.io/quote/v3', matches: true },
  { patterns: '*/*/*', path: 'rsc.io/quote', matches: false },
  { patterns: '*/*/*/', path: 'rsc.io/quote', matches: false },

  { patterns: '*/*/*,,', path: 'rsc.io/quote', matches: false },
  { patterns: '*/*/*,,*/quote', path: 'rsc.io/quote', matches: true },
  { patterns: ',,*/quote', path: 'rsc.io/quote', matches: true },

  // After path.Match's own rows.
  { patterns: 'a*b*c*d.io', path: 'axbxcxdx.cd.io', matches: true },
  { patterns: 'a*b?c*x.io', path: 'abxbbxdbxebxczzx.io', matches: true },
  { patterns: 'a*b?c*x.io', path: 'abxbbxdbxebxczzy.io', matches: false },
  { patterns: 'ab[c].io', path: 'abc.io', matches: true },
  { patterns: 'ab[b-d].io', path: 'abc.io', matches: true },
  { patterns: 'ab[e-g].io', path: 'abc.io', matches: false },
  { patterns: 'ab[^c].io', path: 'abc.io', matches: false },
  { patterns: 'ab[^e-g].io', path: 'abc.io', matches: true },
  { patterns: 'a\\*b.io', path: 'a-b.io', matches: false },
  { patterns: 'rsc\\.io', path: 'rsc.io', matches: true },
  { patterns: 'rsc?io/quote', path: 'rsc.io/quote', matches: true },
  { patterns: 'rsc.io?quote', path: 'rsc.io/quote', matches: false },
  { patterns: '[x\\-].io', path: 'x.io', matches: true },
  { patterns: 'a[\\-]b.io', path: 'a-b.io', matches: true },
  { patterns: 'a[\\-]b.io', path: 'a.b.io', matches: false },
  { patterns: '**.io', path: 'rsc.io', matches: true },
  { patterns: 'rsc.io*', path: 'rsc.io', matches: true },
  { patterns: 'rsc.io/*', path: 'rsc.io', matches: false },
  { patterns: 'RSC.io', path: 'rsc.io', matches: false },
  { patterns: 'github.com/Me', path: 'github.com/Me/x', matches: true },
  // A malformed pattern matches nothing, even if its first half would.
  { patterns: 'rsc.io[', path: 'rsc.io', matches: false },
  { patterns: '*[', path: 'rsc.io', matches: false },
  { patterns: 'r*[a-', path: 'rsc.io', matches: false },
  { patterns: 'r*\\', path: 'rsc.io', matches: false },
  { patterns: '[],rsc.io', path: 'rsc.io', matches: true },
];

for (const { patterns, path, matches } of rows) {
  test(`${JSON.stringify(patterns)} ${matches ? 'matches' : 'does not match'} ${path}`, () => {
    assert.equal(matchPrefixPatterns(patterns, parseModulePath(path)), matches);
  });
}

const lists: { patterns: string; isSound: boolean; why: string }[] = [
  { patterns: '', isSound: true, why: 'none' },
  { patterns: '*.corp.example,github.com/me/', isSound: true, why: 'as people write them' },
  { patterns: ',a.b,', isSound: true, why: 'empty members, which Go skips' },
  { patterns: 'a.b, c.d', isSound: false, why: 'a space would make the second match nothing' },
  { patterns: 'a.b,[c', isSound: false, why: 'an open class' },
  { patterns: 'a.[]', isSound: false, why: 'an empty class' },
  { patterns: 'a.[-z]', isSound: false, why: 'a range without a start' },
  { patterns: 'a.[a-]', isSound: false, why: 'a range without an end' },
  { patterns: 'a.b\\', isSound: false, why: 'a backslash before nothing' },
];

for (const { patterns, isSound, why } of lists) {
  test(`${JSON.stringify(patterns)} is ${isSound ? 'sound' : 'refused'}: ${why}`, () => {
    assert.equal(isPrefixPatterns(patterns), isSound);
  });
}

const path = fc
  .stringMatching(/^[a-z]{1,3}\.[a-z]{2}(\/[a-z]{2,4}){0,3}$/)
  .filter((text) => !/\/(con|prn|aux|nul)/.test(text));

test('every path matches itself, each of its prefixes, and both with a star in front', () => {
  fc.assert(
    fc.property(path, fc.nat(3), (text, count) => {
      const prefix = text
        .split('/')
        .slice(0, count + 1)
        .join('/');
      assert.ok(matchPrefixPatterns(prefix, parseModulePath(text)));
      assert.ok(matchPrefixPatterns(prefix.replace(/[a-z]/, '*'), parseModulePath(text)));
      assert.ok(matchPrefixPatterns(prefix.replace(/[a-z]/g, '?'), parseModulePath(text)));
    }),
  );
});

test('arbitrary patterns never throw, and a long row of stars costs no time', () => {
  const target = parseModulePath(`x.y/${'a'.repeat(500)}`);
  assert.equal(matchPrefixPatterns(`x.y/${'*a'.repeat(400)}b`, target), false);
  fc.assert(
    fc.property(
      fc.oneof(fc.string({ unit: 'binary' }), fc.stringMatching(/^[*?[\]a^\\,/.-]{0,9}$/)),
      (patterns) => {
        const isMatch = matchPrefixPatterns(patterns, target);
        // A single pattern that matches was well-formed.
        if (isMatch && !patterns.includes(',')) assert.ok(isPrefixPatterns(patterns));
      },
    ),
    { numRuns: 2000 },
  );
});
