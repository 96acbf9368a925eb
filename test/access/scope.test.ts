// Goal: scopes are read strictly, and one that is tied to namespaces gives nothing elsewhere.
// Method: tables.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { grants, parseScopes } from '../../src/access/scope.ts';
import { BadRequest } from '../../src/core/errors.ts';

test('what is read is written back the same', () => {
  for (const text of [
    'read',
    'private,cache-write',
    'cache-write:pr/*',
    'cache-read:main,cache-write:a.b-c_d',
  ]) {
    assert.equal(parseScopes(text).join(','), text);
  }
});

for (const text of [
  '',
  'all',
  'cache-write:',
  'cache-write:*',
  'cache-write:p*r',
  'cache-write:a b',
  'cache-write:a:b',
  'read:main',
  `cache-write:${'x'.repeat(256)}`,
]) {
  test(`no scope: ${text.slice(0, 20)}`, () => assert.throws(() => parseScopes(text), BadRequest));
}

const rows: { scopes: string; wanted: 'cache-read' | 'cache-write'; in?: string; is: boolean }[] = [
  { scopes: 'cache-write', wanted: 'cache-write', in: 'main', is: true },
  { scopes: 'cache-write', wanted: 'cache-write', in: 'pr/1', is: true },
  { scopes: 'cache-write', wanted: 'cache-read', in: 'main', is: false },
  { scopes: 'cache-write:pr/*', wanted: 'cache-write', in: 'pr/1', is: true },
  { scopes: 'cache-write:pr/*', wanted: 'cache-write', is: true },
  { scopes: 'cache-write:pr/*', wanted: 'cache-read', is: false },
  { scopes: 'cache-write:pr/*', wanted: 'cache-write', in: 'main', is: false },
  { scopes: 'cache-write:pr/*', wanted: 'cache-write', in: 'pr', is: false },
  { scopes: 'cache-write:pr', wanted: 'cache-write', in: 'pr/1', is: false },
  { scopes: 'cache-write:pr', wanted: 'cache-write', in: 'pr', is: true },
  { scopes: 'read,private,admin', wanted: 'cache-write', is: false },
];
for (const { scopes, wanted, in: namespace, is } of rows) {
  test(`${scopes} ${is ? 'gives' : 'does not give'} ${wanted} in ${namespace ?? 'any'}`, () => {
    assert.equal(grants(parseScopes(scopes), wanted, namespace), is);
  });
}
