// Goal: a rule gives its scopes to tokens with all of its claims alone, and a claim's text never opens more than one
// namespace, or the main one.
// Method: tables of rules and claims.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatAccounts, parseAccounts } from '../../src/access/accounts.ts';
import { parseClaims, parseScopeForms, scopesByClaims } from '../../src/access/claim-rule.ts';
import { BadRequest } from '../../src/core/errors.ts';

const rows: {
  claims: string;
  scopes?: string;
  token: Record<string, unknown>;
  gives: string;
  why: string;
}[] = [
  { claims: 'repo=corp/app', token: { repo: 'corp/app', x: 1 }, gives: 'cache-write', why: 'equal' },
  { claims: 'repo=corp/app', token: { repo: 'corp/app2' }, gives: '', why: 'longer' },
  { claims: 'repo=corp/app', token: {}, gives: '', why: 'not there' },
  { claims: 'repo=corp/app', token: { repo: { toString: () => 'corp/app' } }, gives: '', why: 'no text' },
  { claims: 'repo=corp/app,ref=main', token: { repo: 'corp/app', ref: 'x' }, gives: '', why: 'one of two' },
  { claims: 'repo=corp/*', token: { repo: 'corp/app' }, gives: 'cache-write', why: 'a star' },
  { claims: 'repo=corp/*', token: { repo: 'corpse/app' }, gives: '', why: 'no regular expression' },
  { claims: 'sub=a*b*c', token: { sub: 'a-b-b-c' }, gives: 'cache-write', why: 'two stars' },
  { claims: 'sub=a*b*c', token: { sub: 'abc' }, gives: 'cache-write', why: 'stars for nothing' },
  { claims: 'sub=a*a', token: { sub: 'a' }, gives: '', why: 'begin and end do not share letters' },
  { claims: 'sub=a*b*c', token: { sub: 'a-c-b' }, gives: '', why: 'wrong order' },
  { claims: 'id=7,ok=true', token: { id: 7, ok: true }, gives: 'cache-write', why: 'numbers and truth' },
  { claims: 'groups=ci', token: { groups: ['dev', 'ci'] }, gives: 'cache-write', why: 'one of a list' },
  {
    claims: 'a=1',
    scopes: 'cache-write:pr/{id},cache-read',
    token: { a: 1, id: 7 },
    gives: 'cache-write:pr/7,cache-read',
    why: 'a claim in the namespace',
  },
  {
    claims: 'a=1',
    scopes: 'cache-write:{ref}',
    token: { a: 1, ref: 'refs/pull/7/merge' },
    gives: 'cache-write:refs/pull/7/merge',
    why: 'a claim alone',
  },
  {
    claims: 'a=1',
    scopes: 'cache-write:{ref}',
    token: { a: 1, ref: 'main' },
    gives: '',
    why: 'a branch that is called main',
  },
  {
    claims: 'a=1',
    scopes: 'cache-write:{x}{y}',
    token: { a: 1, x: 'ma', y: 'in' },
    gives: '',
    why: 'main in two parts',
  },
  {
    claims: 'a=1',
    scopes: 'cache-write:pr/{ref}',
    token: { a: 1, ref: '*' },
    gives: '',
    why: 'a star from outside',
  },
  {
    claims: 'a=1',
    scopes: 'cache-write:pr/{ref}',
    token: { a: 1, ref: 'x,admin' },
    gives: '',
    why: 'a comma from outside',
  },
  { claims: 'a=1', scopes: 'cache-write:pr/{ref}', token: { a: 1 }, gives: '', why: 'no such claim' },
  {
    claims: 'a=1',
    scopes: 'cache-write:pr/{ref}',
    token: { a: 1, ref: '' },
    gives: '',
    why: 'an empty claim',
  },
];
for (const { claims, scopes = 'cache-write', token, gives, why } of rows) {
  test(`rule ${claims}: ${why}`, () => {
    const rule = {
      kind: 'oidc',
      name: 'r',
      scopes: parseScopeForms(scopes),
      claims: parseClaims(claims),
    } as const;
    assert.equal(scopesByClaims([rule], token).join(','), gives);
    assert.deepEqual(parseAccounts(formatAccounts([rule])), [rule]);
  });
}

for (const claims of ['', 'a', 'a=', '=b', 'a=*', 'a=**', 'a=b c', 'a=b,', 'a=b\nc']) {
  test(`no claims: ${JSON.stringify(claims)}`, () => assert.throws(() => parseClaims(claims), BadRequest));
}
for (const scopes of [
  '',
  'all',
  'cache-write:{}',
  'cache-write:{a b}',
  'cache-write:{a}}',
  'cache-write:{{a}}',
  'cache-write:{a}*',
  'cache-write:pr/{a}*',
]) {
  test(`no scopes of a rule: ${scopes}`, () => assert.throws(() => parseScopeForms(scopes), BadRequest));
}

test('braces are for rules alone', () => {
  const sha = `sha256:${'ab'.repeat(32)}`;
  assert.throws(() => parseAccounts(`token a cache-write:{ref} ${sha} never`), BadRequest);
});
