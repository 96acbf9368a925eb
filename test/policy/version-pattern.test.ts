// Goal: a pattern is for the versions that an operator means by it, and a malformed one is told.
// Method: tables of patterns and versions.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseModulePath } from '../../src/core/module-path.ts';
import { parseVersion } from '../../src/core/version.ts';
import { parseVersionPattern } from '../../src/policy/version-pattern.ts';

const rows: readonly { pattern: string; yes: readonly string[]; no: readonly string[]; why: string }[] = [
  {
    pattern: 'example.com/x',
    yes: ['example.com/x@v1.0.0', 'example.com/x/sub@v0.1.0', 'example.com/x/v2@v2.0.0'],
    no: ['example.com/xy@v1.0.0', 'example.com@v1.0.0', 'example.com/X@v1.0.0'],
    why: 'without a version: the module and those below it, as in GOPRIVATE',
  },
  {
    pattern: '*.corp.example/',
    yes: ['a.corp.example/x@v1.0.0', 'a.corp.example@v1.0.0'],
    no: ['corp.example/x@v1.0.0'],
    why: 'a star, and a slash at the end',
  },
  {
    pattern: '*',
    yes: ['a.example@v0.0.0', 'a.example/b/c@v9.0.0'],
    no: [],
    why: 'everything',
  },
  {
    pattern: 'example.com/x@<v1.2.3',
    yes: [
      'example.com/x@v1.2.2',
      'example.com/x@v0.9.0',
      'example.com/x@v1.2.3-rc.1',
      'example.com/x@v1.2.3-0.20240203040506-abcdefabcdef',
      'example.com/x@v0.0.0-20240203040506-abcdefabcdef',
    ],
    no: [
      'example.com/x@v1.2.3',
      'example.com/x@v1.10.0',
      'example.com/x/sub@v0.1.0',
      'example.com/x/v2@v2.0.0',
    ],
    why: 'with a version: this module alone, whose versions they are',
  },
  {
    pattern: 'example.com/x@v1.2.3',
    yes: ['example.com/x@v1.2.3'],
    no: ['example.com/x@v1.2.30', 'example.com/x@v1.2.3-rc.1'],
    why: 'one version',
  },
  {
    pattern: 'example.com/x@=v2.0.0',
    yes: ['example.com/x@v2.0.0+incompatible'],
    no: ['example.com/x@v2.0.1+incompatible'],
    why: '+incompatible does not count',
  },
  {
    pattern: 'example.com/x@>=v1.0.0@<v1.2.3',
    yes: ['example.com/x@v1.0.0', 'example.com/x@v1.2.2'],
    no: ['example.com/x@v0.9.0', 'example.com/x@v1.2.3'],
    why: 'both conditions',
  },
  {
    pattern: 'example.com/x@>v1.0.0@<=v1.1.0',
    yes: ['example.com/x@v1.1.0'],
    no: ['example.com/x@v1.0.0', 'example.com/x@v1.1.1'],
    why: 'the other two operators',
  },
  {
    pattern: 'golang.org/x/*@<v0.5.0',
    yes: ['golang.org/x/net@v0.4.0'],
    no: ['golang.org/x/net@v0.5.0', 'golang.org/x/net/sub@v0.1.0', 'golang.org/x@v0.1.0'],
    why: 'a glob of whole paths',
  },
  {
    pattern: 'golang.org/toolchain@>=v0.0.1-go1.27',
    yes: [
      'golang.org/toolchain@v0.0.1-go1.27.0.linux-amd64',
      'golang.org/toolchain@v0.0.1-go1.28.1.linux-arm64',
    ],
    no: ['golang.org/toolchain@v0.0.1-go1.26.9.linux-amd64'],
    why: 'a toolchain is a module version too',
  },
];

for (const { pattern, yes, no, why } of rows) {
  test(`${pattern}: ${why}`, () => {
    const parsed = parseVersionPattern(pattern);
    const isFor = (text: string) => {
      const [path = '', plain = ''] = text.split('@');
      const version = parseVersion(plain);
      assert.ok(version, text);
      return parsed.matchesModule(parseModulePath(path)) && parsed.matchesVersion(version);
    };
    assert.deepEqual(yes.filter(isFor), yes);
    assert.deepEqual(no.filter(isFor), []);
  });
}

const malformed: readonly { pattern: string; says: RegExp }[] = [
  { pattern: '', says: /^cannot read pattern "": its path is none$/ },
  { pattern: '@v1.0.0', says: /its path is none/ },
  { pattern: 'a.[', says: /its path is none/ },
  { pattern: 'a b', says: /its path is none/ },
  { pattern: 'a.example@', says: /^cannot read pattern "a\.example@": not a version such as v1\.2\.3: ""$/ },
  { pattern: 'a.example@v1.2', says: /not a version such as v1\.2\.3: "v1\.2"$/ },
  { pattern: 'a.example@1.2.3', says: /not a version/ },
  { pattern: 'a.example@=>v1.2.3', says: /not a version/ },
  { pattern: 'a.example@<v1.2.3@', says: /not a version/ },
  { pattern: 'a.example@< v1.2.3', says: /not a version/ },
];

for (const { pattern, says } of malformed) {
  test(`refused: ${JSON.stringify(pattern)}`, () => {
    assert.throws(() => parseVersionPattern(pattern), { message: says });
  });
}
