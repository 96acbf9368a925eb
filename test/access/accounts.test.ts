// Goal: the file of users and tokens is read strictly and written back as it was, and holds no secret.
// Method: tables of lines; round trips.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatAccounts, parseAccountName, parseAccounts } from '../../src/access/accounts.ts';
import { hashPassword, hashToken, isPassword, isToken, newToken } from '../../src/access/secret.ts';
import { BadRequest } from '../../src/core/errors.ts';

const SALT = 'A'.repeat(22);
const HASH = 'B'.repeat(43);
const SCRYPT = `scrypt:16384:8:5:${SALT}:${HASH}`;
const SHA = `sha256:${'ab'.repeat(32)}`;

test('what is written is read back, and neither password nor token stands in it', async () => {
  const token = newToken();
  const accounts = [
    {
      kind: 'user',
      name: 'alice@corp',
      scopes: ['private', 'cache-write'],
      password: await hashPassword('pass word'),
    },
    { kind: 'token', name: 'ci', scopes: ['private'], sha256: hashToken(token), expiresMs: Infinity },
    { kind: 'token', name: 'ci-2', scopes: ['read'], sha256: 'cd'.repeat(32), expiresMs: 1_800_000_000_000 },
  ] as const;
  const text = formatAccounts(accounts);
  assert.deepEqual(parseAccounts(text), accounts);
  assert.ok(!text.includes('pass word') && !text.includes(token));
  const [alice] = parseAccounts(text);
  assert.ok(alice?.kind === 'user');
  assert.equal(await isPassword('pass word', alice.password), true);
  assert.equal(await isPassword('pass wors', alice.password), false);
});

test('two hashes of one password differ, and tokens are told from passwords', async () => {
  const [one, other] = await Promise.all([hashPassword('same'), hashPassword('same')]);
  assert.notDeepEqual(one.hash, other.hash);
  assert.ok(isToken(newToken()));
  assert.equal(new Set([newToken(), newToken()]).size, 2);
  assert.ok(!isToken('password') && !isToken(`astera_${'x'.repeat(200)}`));
  for (const bad of ['', 'x'.repeat(1_025)]) await assert.rejects(hashPassword(bad), BadRequest);
  assert.equal(await isPassword('x'.repeat(1_025), one), false);
});

test('empty lines and comments do not count', () => {
  assert.deepEqual(parseAccounts('\n  # user x\r\n\r\n'), []);
  assert.equal(parseAccounts(`# a\r\n  user  a   private\t${SCRYPT}  \r\n`).length, 1);
});

const refused: { line: string; why: string }[] = [
  { line: `user a private ${SCRYPT} never`, why: 'a word too many' },
  { line: `user a private`, why: 'no hash' },
  { line: `user a  ${SCRYPT}`, why: 'no scopes' },
  { line: `user a all ${SCRYPT}`, why: 'an unknown scope' },
  { line: `user a private, ${SCRYPT}`, why: 'an empty scope' },
  { line: `user a:b private ${SCRYPT}`, why: 'a colon would end the name in a login' },
  { line: `user ${'a'.repeat(65)} private ${SCRYPT}`, why: 'a long name' },
  { line: `admin a private ${SCRYPT}`, why: 'an unknown kind' },
  { line: `user a private ${SHA}`, why: 'the hash of a token' },
  { line: `user a private password`, why: 'a password' },
  { line: `user a private scrypt:16385:8:5:${SALT}:${HASH}`, why: 'a cost that is no power of two' },
  { line: `user a private scrypt:1:8:5:${SALT}:${HASH}`, why: 'a cost of nothing' },
  { line: `user a private scrypt:1048576:8:5:${SALT}:${HASH}`, why: 'a GiB for each check' },
  { line: `user a private scrypt:16384:0:5:${SALT}:${HASH}`, why: 'blocks of nothing' },
  { line: `user a private scrypt:16384:8:0:${SALT}:${HASH}`, why: 'no times over' },
  { line: `user a private scrypt:16384:8:5:${SALT}:${HASH.slice(1)}`, why: 'a short hash' },
  { line: `token a private ${SHA}`, why: 'no word on when it expires' },
  { line: `token a private ${SHA} later`, why: 'no time' },
  { line: `token a private ${SHA.toUpperCase()} never`, why: 'upper case' },
  { line: `token a private ${SCRYPT} never`, why: 'the hash of a password' },
];

for (const { line, why } of refused) {
  test(`a line is refused by its number, and not quoted: ${why}`, () => {
    assert.throws(() => parseAccounts(`# first\n${line}\n`), {
      name: 'BadRequest',
      message: 'line 2 is neither a user, a token nor a rule',
    });
  });
}

test('a name stands there once', () => {
  assert.throws(
    () => parseAccounts(`user a private ${SCRYPT}\ntoken a private ${SHA} never`),
    /line 2 has the name/,
  );
  for (const bad of ['', 'a b', 'a:b', 'ä', 'a\n', 'a'.repeat(65)]) {
    assert.throws(() => parseAccountName(bad), BadRequest);
  }
  assert.equal(parseAccountName('a.b@c_d-1'), 'a.b@c_d-1');
});
