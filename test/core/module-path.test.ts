// Goal: exactly Go's module paths are accepted, and escaping round-trips.
// Method: the rows of x/mod's module_test.go in its order, then our own rows, and properties over arbitrary text and
// over paths built from the rules.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { BadRequest } from '../../src/core/errors.ts';
import { KEY_LENGTH_MAX } from '../../src/core/limits.ts';
import {
  escapeModulePath,
  parseModulePath,
  splitPathMajor,
  unescapeModulePath,
} from '../../src/core/module-path.ts';

const good: { paths: readonly string[]; why: string }[] = [
  { paths: ['x.y/z', 'x.y'], why: 'a host with a dot, with or without elements' },
  { paths: ['x..y/z'], why: 'two dots in a row' },
  { paths: ['x.y/z/v2'], why: 'a major version from 2 on' },
  { paths: ['x.y-/z', 'x.y/z-', 'x.y/z_', 'x.y/z~'], why: 'the punctuation that is allowed' },
  { paths: ['x.y/z.t', 'x.y/z/t', 'x.y/x.foo'], why: 'dots and slashes inside' },
  { paths: ['x.y/prn2', 'x.y/com', 'x.y/calm1'], why: 'nearly a Windows device' },
  { paths: ['x.y/z09', 'x.y/z09~', 'x.y/z09~09z'], why: 'nearly a Windows short name' },
  { paths: ['x.y/v', 'x.y/v2x', 'x.y/xv1', 'v1.x'], why: 'nearly a major version' },
  { paths: ['gopkg.in/yaml.v0', 'gopkg.in/yaml.v1', 'gopkg.in/yaml.v3'], why: 'gopkg.in: any major' },
  { paths: ['gopkg.in/yaml.v2-unstable'], why: 'gopkg.in: unstable' },
  { paths: ['github.com', 'github.com/Azure', 'gopkg.in'], why: 'prefixes that `go get` asks for' },
  { paths: ['golang.org/toolchain'], why: 'where toolchains come from' },
];

for (const { paths, why } of good) {
  for (const path of paths) {
    test(`a module path: ${JSON.stringify(path)}: ${why}`, () => {
      const parsed = parseModulePath(path);
      assert.equal(parsed, path);
      assert.equal(unescapeModulePath(escapeModulePath(parsed)), path);
    });
  }
}

const bad: { paths: readonly string[]; why: RegExp }[] = [
  { paths: ['', '/x.y/z', 'x.y//z', 'x.y/z//w', 'x.y/z/'], why: /empty/ },
  { paths: ['x.y/\ufffdz', 'x☺y', 'github.com/user/unicode/испытание'], why: /invalid character/ },
  { paths: ['x./z', 'x.y./zt', 'x.y/z.'], why: /trailing dot/ },
  {
    paths: ['.x/z', 'x.y/z/../../w', '../x', './y', '.gitignore', '.github/ISSUE_TEMPLATE'],
    why: /leading dot/,
  },
  { paths: ['-x/z', '-x.y/z'], why: /leading dash/ },
  { paths: ['x.y/z/v0', 'x.y/z/v1', 'x.y/z/v2.0', 'x.y/z/v02'], why: /major version/ },
  { paths: ['X.y/z', '_x.y/z', 'x.y_/z', 'x.y~/z'], why: /in first path element/ },
  {
    paths: [...'!"#$%&\'()*+,:;<=>?@[\\]^`{|}\0\n '].flatMap((c) => [`x.y${c}/z`, `x.y/z${c}`]),
    why: /invalid character/,
  },
  {
    paths: ['x.y/z++', 'rsc io/quote', 'x:y', '\\temp\\foo', 'github.com/!123/logrus'],
    why: /invalid character/,
  },
  {
    paths: ['x.y/aux.foo', 'x.y/prn', 'x.y/com1', 'x.y/com1.txt', 'x.y/CON', 'x.y/Lpt9', 'nul.y/z'],
    why: /Windows/,
  },
  { paths: ['x.y/z~0', 'x.y/z~09', 'x.y/z09~09z~09', 'x.y/z~1.go'], why: /tilde/ },
  { paths: ['localhost/x', 'x', 'mod/x.y/z'], why: /missing dot/ },
  {
    paths: ['gopkg.in/yaml', 'gopkg.in/yaml/v2', 'gopkg.in/yaml.v02', 'gopkg.in/yaml.v0-unstable'],
    why: /gopkg/,
  },
  {
    paths: [`x.y/${'z'.repeat(KEY_LENGTH_MAX)}`, `x.y/${'Z'.repeat(KEY_LENGTH_MAX / 2)}`],
    why: /over \d+ char/,
  },
];

for (const { paths, why } of bad) {
  for (const path of paths) {
    test(`no module path: ${JSON.stringify(path.slice(0, 60))}: ${why.source}`, () => {
      assert.throws(
        () => parseModulePath(path),
        (error) => error instanceof BadRequest && why.test(error.message) && error.message.length < 400,
      );
      assert.throws(() => unescapeModulePath(path), BadRequest);
    });
  }
}

const escapes: { path: string; escaped: string; why: string }[] = [
  {
    path: 'ascii.com/abcdefghijklmnopqrstuvwxyz.-/~_0123456789',
    escaped: 'ascii.com/abcdefghijklmnopqrstuvwxyz.-/~_0123456789',
    why: 'nothing to escape',
  },
  {
    path: 'github.com/GoogleCloudPlatform/omega',
    escaped: 'github.com/!google!cloud!platform/omega',
    why: 'capitals',
  },
];

for (const { path, escaped, why } of escapes) {
  test(`escaping: ${why}`, () => {
    assert.equal(escapeModulePath(parseModulePath(path)), escaped);
    assert.equal(unescapeModulePath(escaped), path);
  });
}

const badEscapes: { escaped: string; why: string }[] = [
  { escaped: 'github.com/GoogleCloudPlatform/omega', why: 'a raw capital' },
  { escaped: 'github.com/!google!cloud!platform!/omega', why: '"!" before a slash' },
  { escaped: 'github.com/!0google!cloud!platform/omega', why: '"!" before a digit' },
  { escaped: 'github.com/!_google!cloud!platform/omega', why: '"!" before punctuation' },
  { escaped: 'github.com/!!google!cloud!platform/omega', why: '"!" before "!"' },
  { escaped: '', why: 'nothing' },
  { escaped: 'github.com/x!', why: '"!" at the end' },
  { escaped: '!github.com/x', why: 'a capital in the host' },
  { escaped: `x.y/${'z'.repeat(10_000_000)}`, why: 'endless' },
];

for (const { escaped, why } of badEscapes) {
  test(`not an escaped path: ${why}`, () => {
    assert.throws(() => unescapeModulePath(escaped), BadRequest);
  });
}

const splits: { prefix: string; pathMajor: string }[] = [
  { prefix: 'x.y/z', pathMajor: '' },
  { prefix: 'x.y/z', pathMajor: '/v2' },
  { prefix: 'x.y/z', pathMajor: '/v3' },
  { prefix: 'x.y/v', pathMajor: '' },
  { prefix: 'gopkg.in/yaml', pathMajor: '.v0' },
  { prefix: 'gopkg.in/yaml', pathMajor: '.v1' },
  { prefix: 'gopkg.in/yaml', pathMajor: '.v2' },
  { prefix: 'gopkg.in/yaml', pathMajor: '.v3' },
  { prefix: 'gopkg.in/yaml', pathMajor: '.v2-unstable' },
  { prefix: 'x.y/yaml.v2', pathMajor: '' },
];

for (const { prefix, pathMajor } of splits) {
  test(`the major version of ${prefix}${pathMajor} is ${JSON.stringify(pathMajor)}`, () => {
    assert.deepEqual(splitPathMajor(parseModulePath(prefix + pathMajor)), { prefix, pathMajor });
  });
}

const element = fc.stringMatching(/^[A-Za-z0-9_]{1,12}$/).map((text) => `${text}x`);
const modulePath = fc
  .array(element, { maxLength: 5 })
  .map((elements) => ['x.example', ...elements].join('/'));

test('every path built from plain elements round-trips, and its escaped form has no capital', () => {
  fc.assert(
    fc.property(modulePath, (path) => {
      const escaped = escapeModulePath(parseModulePath(path));
      assert.doesNotMatch(escaped, /[A-Z]/);
      assert.equal(unescapeModulePath(escaped), path);
    }),
  );
});

test('arbitrary text is accepted only if it escapes back to itself; any other is a BadRequest', () => {
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.stringMatching(/^[a-z.]{1,6}(\/[!a-zA-Z0-9.~v-]{1,6}){0,3}$/),
  );
  fc.assert(
    fc.property(text, (escaped) => {
      try {
        assert.equal(escapeModulePath(unescapeModulePath(escaped)), escaped);
      } catch (error) {
        if (!(error instanceof BadRequest)) throw error;
        assert.doesNotMatch(error.message, /\n/);
      }
    }),
    { numRuns: 2000 },
  );
});
