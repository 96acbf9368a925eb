// Goal: routes are read as they are meant, whatever their lists hold, and a malformed one is told in one line without its password.
// Method: tables.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseRoutes } from '../../src/upstream/route-syntax.ts';

const rows: readonly { text: string; routes: readonly [string, string][]; why: string }[] = [
  { text: 'a.example=https://p.example', routes: [['a.example', 'https://p.example']], why: 'one' },
  {
    text: 'a.example/*=https://p.example,direct , b.example=off',
    routes: [
      ['a.example/*', 'https://p.example,direct ,'],
      ['b.example', 'off'],
    ],
    why: 'a comma separates members of a list, and routes',
  },
  {
    text: 'a.example=https://p.example|https://q.example,b.example=r.example/x',
    routes: [
      ['a.example', 'https://p.example|https://q.example,'],
      ['b.example', 'r.example/x'],
    ],
    why: 'bars, and a member without a scheme',
  },
  {
    text: 'a.example=https://u:p@p.example/x=y?z=1,file:///tmp/a=b',
    routes: [['a.example', 'https://u:p@p.example/x=y?z=1,file:///tmp/a=b']],
    why: 'a "=" in a URL',
  },
  {
    text: 'a.example=off,a.example=direct',
    routes: [
      ['a.example', 'off,'],
      ['a.example', 'direct'],
    ],
    why: 'twice: the first counts',
  },
];

for (const { text, routes, why } of rows) {
  test(`routes: ${why}`, () => {
    assert.deepEqual(
      parseRoutes(text).map(({ pattern, list }) => [pattern, list]),
      routes,
    );
  });
}

const refused: readonly { text: string; says: RegExp; why: string }[] = [
  { text: '', says: /^cannot read route: ""/, why: 'nothing' },
  { text: ',', says: /^cannot read route: ","/, why: 'no route' },
  { text: 'https://p.example', says: /^cannot read route: "https:\/\/p\.example"/, why: 'no pattern' },
  { text: '=https://p.example', says: /^cannot read route: "=https/, why: 'an empty pattern' },
  { text: '[=https://p.example', says: /^cannot read route: "\[=/, why: 'a malformed pattern' },
  { text: 'a b=https://p.example', says: /^cannot read route: "a b=/, why: 'a pattern that matches nothing' },
  { text: 'a.example=', says: /^cannot read upstream list: it has no entries$/, why: 'an empty list' },
  { text: 'a.example=,b.example=off', says: /no entries/, why: 'an empty list in front of another route' },
  {
    text: 'a.example=ftp://u:secret@p.example',
    says: /^cannot read upstream list: scheme must be .*: "ftp:\/\/p\.example"$/,
    why: 'another scheme',
  },
  { text: 'https://u:secret@p.example,a=off', says: /"https:\/\/p\.example"/, why: 'a list, then a route' },
];

for (const { text, says, why } of refused) {
  test(`refused: ${why}`, () => {
    assert.throws(
      () => parseRoutes(text),
      (error: Error) => {
        assert.match(error.message, says);
        assert.doesNotMatch(error.message, /secret|\n/);
        return true;
      },
    );
  });
}
