// Goal: scopes are read strictly, and one that is tied to namespaces or modules gives nothing elsewhere.
// Method: tables.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Grant } from '../../src/access/grant.ts';
import { grants, type ModuleScope, parseScopes } from '../../src/access/scope.ts';
import { BadRequest } from '../../src/core/errors.ts';
import { parseModulePath } from '../../src/core/module-path.ts';

test('what is read is written back the same', () => {
  for (const text of [
    'read',
    'private,cache-write',
    'cache-write:pr/*',
    'private:corp.example/team/*,read:*.corp.example',
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
  'read:',
  'private:corp.example/[',
  'private:corp.example/a b',
  'admin:corp.example',
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

const modules: { scopes: string; need: ModuleScope; module: string; is: boolean; why: string }[] = [
  { scopes: 'private', need: 'private', module: 'corp.example/x', is: true, why: 'all' },
  { scopes: 'private', need: 'read', module: 'open.example/x', is: true, why: 'more than it needs' },
  { scopes: 'read', need: 'private', module: 'corp.example/x', is: false, why: 'less' },
  { scopes: 'read', need: 'read', module: 'open.example/x', is: true, why: 'all' },
  { scopes: 'admin,cache-write', need: 'read', module: 'open.example/x', is: false, why: 'others' },
  {
    scopes: 'private:corp.example/team/*',
    need: 'private',
    module: 'corp.example/team/a/v2',
    is: true,
    why: 'below',
  },
  {
    scopes: 'private:corp.example/team/*',
    need: 'private',
    module: 'corp.example/team',
    is: false,
    why: 'above',
  },
  {
    scopes: 'private:corp.example/team',
    need: 'private',
    module: 'corp.example/teams',
    is: false,
    why: 'longer',
  },
  { scopes: 'private:corp.example/team', need: 'read', module: 'corp.example/team', is: true, why: 'less' },
  {
    scopes: 'read:open.example',
    need: 'private',
    module: 'open.example/x',
    is: false,
    why: 'the pattern alone',
  },
  { scopes: 'private:a.example,read', need: 'read', module: 'b.example/x', is: true, why: 'the other scope' },
  {
    scopes: 'private:a.example,read',
    need: 'private',
    module: 'b.example/x',
    is: false,
    why: 'the other module',
  },
];
for (const { scopes, need, module, is, why } of modules) {
  test(`${scopes} ${is ? 'opens' : 'does not open'} ${module}, which needs ${need}: ${why}`, () => {
    assert.equal(new Grant(parseScopes(scopes)).opens(parseModulePath(module), need), is);
  });
}
