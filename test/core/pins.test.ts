// Goal: what is pinned is what the patterns name, and imports by their word. Method: a table.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pinsOf } from '../../src/core/pins.ts';

const cases = [
  { why: 'no pattern', patterns: '', key: 'a.example/x/@v/v1.0.0.zip', source: 'upstream', isPinned: false },
  {
    why: 'a prefix, unescaped',
    patterns: 'a.example/Big',
    key: 'a.example/!big/x/@v/v1.0.0.zip',
    source: 'upstream',
    isPinned: true,
  },
  {
    why: 'another module',
    patterns: 'a.example/x',
    key: 'a.example/y/@v/v1.0.0.zip',
    source: 'git',
    isPinned: false,
  },
  {
    why: 'an import',
    patterns: 'import',
    key: 'a.example/x/@v/v1.0.0.zip',
    source: 'import',
    isPinned: true,
  },
  {
    why: 'not an import',
    patterns: 'import',
    key: 'a.example/x/@v/v1.0.0.zip',
    source: 'bucket',
    isPinned: false,
  },
  {
    why: 'an import without the word',
    patterns: '*.example/z',
    key: 'a.example/x/@v/v1.0.0.zip',
    source: 'import',
    isPinned: false,
  },
  { why: 'no key of a module', patterns: '*', key: 'nonsense', source: 'upstream', isPinned: false },
  { why: 'a malformed key', patterns: '*', key: 'A/@v/v1.0.0.zip', source: 'upstream', isPinned: false },
] as const;

for (const { why, patterns, key, source, isPinned } of cases) {
  test(`${why}: ${isPinned ? 'pinned' : 'not pinned'}`, () => {
    assert.equal(pinsOf(patterns)({ key, source }), isPinned);
  });
}
