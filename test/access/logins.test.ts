// Goal: a right login is checked once and then remembered, a wrong one tells nothing and gets slower, and no flood of
// either takes more than its bound.
// Method: the real checks with a cheap hash, and a clock that the test moves.

import assert from 'node:assert/strict';
import { randomBytes, scryptSync } from 'node:crypto';
import { test } from 'node:test';
import type { Account } from '../../src/access/accounts.ts';
import { parseAuthorization, tokenCredentials } from '../../src/access/credentials.ts';
import {
  LOGIN_FAILURES_FREE,
  LOGIN_PAUSE_MS_MAX,
  LOGIN_REMEMBERED_MS,
  LOGINS_CHECKED_MAX,
  LOGINS_WAITING_MAX,
} from '../../src/access/limits.ts';
import { Logins } from '../../src/access/logins.ts';
import { hashToken, newToken } from '../../src/access/secret.ts';
import { Busy, Unauthorized } from '../../src/core/errors.ts';
import { parseIp } from '../../src/core/network.ts';
import { FakeClock } from '../support/fakes.ts';

/** Cheap: these tests make hundreds of checks. */
function user(name: string, password: string): Account {
  const salt = randomBytes(16);
  const hash = scryptSync(password, salt, 32, { cost: 2, blockSize: 1, parallelization: 1 });
  const cheap = { cost: 2, blockSize: 1, parallel: 1, salt, hash };
  return { kind: 'user', name, scopes: ['private'], password: cheap };
}

const TOKEN = newToken();
const token = {
  kind: 'token',
  name: 'ci',
  scopes: ['read'],
  sha256: hashToken(TOKEN),
  expiresMs: Infinity,
} as const;
const alice = user('alice', 'right');

function rig(accounts: readonly Account[] = [alice, token]) {
  const clock = new FakeClock();
  const failures: string[] = [];
  const onFailure = (address: string, pauseMs: number) => void failures.push(`${address} ${pauseMs}`);
  const logins = new Logins({ accounts, clock, onFailure });
  const ask = (header: string, from = '10.0.0.1') => {
    const credentials = parseAuthorization(header);
    assert.ok(credentials !== undefined);
    return logins.scopesOf(credentials, parseIp(from) ?? new Uint8Array(0));
  };
  const log = (password: string, from?: string, name = 'alice') =>
    ask(`Basic ${btoa(`${name}:${password}`)}`, from);
  return { clock, failures, logins, ask, log };
}

test('a right password is checked, then remembered for its time', async () => {
  const { clock, log, failures } = rig();
  const first = log('right');
  assert.ok(first instanceof Promise);
  assert.deepEqual(await first, ['private']);
  assert.deepEqual(log('right'), ['private'], 'at once');
  assert.deepEqual(log('right', '10.9.9.9'), ['private'], 'from everywhere');
  clock.pass(LOGIN_REMEMBERED_MS);
  assert.ok(log('right') instanceof Promise, 'checked again');
  assert.deepEqual(failures, []);
});

test('a wrong password and an unknown user get the same answer', async () => {
  const { log, failures } = rig();
  for (const [password, name] of [
    ['wrong', 'alice'],
    ['right', 'alicia'],
    ['', 'alice'],
    ['right', ''],
  ] as const) {
    await assert.rejects(async () => log(password, '10.0.0.1', name), {
      name: 'Unauthorized',
      message: 'cannot log in: wrong user or password',
    });
  }
  assert.deepEqual(failures, Array(4).fill('10.0.0.1 0'));
});

test('name and password do not run into each other', async () => {
  const { log } = rig([user('a', 'bc'), alice]);
  assert.deepEqual(await log('bc', undefined, 'a'), ['private']);
  await assert.rejects(async () => log('c', undefined, 'ab'), Unauthorized);
});

test('requests with one login share its check; others wait in turn, up to a bound', async () => {
  const { log, failures } = rig();
  const bound = LOGINS_CHECKED_MAX + LOGINS_WAITING_MAX;
  const right = Array.from({ length: 500 }, () => log('right'));
  const all = <T>(made: readonly (T | Promise<T>)[]) => Promise.allSettled(made.map(async (one) => one));
  const wrong = all(
    Array.from({ length: bound - 1 }, (_, index) => log(`wrong ${index}`, `10.0.${index}.1`)),
  );
  const refused = assert.rejects(async () => log('one more', '10.1.1.1'), Busy);
  assert.ok(log('right') instanceof Promise, 'one that is being checked is not one more');
  const again = all(Array.from({ length: 20 }, () => log('wrong 0', '10.0.0.1')));
  await refused;
  assert.deepEqual(await Promise.all(right), Array(500).fill(['private']));
  const settled = await wrong;
  assert.ok(settled.every((one) => one.status === 'rejected' && one.reason instanceof Unauthorized));
  await again;
  assert.equal(failures.length, bound - 1, 'one for each that is wrong, however many brought it');
  await assert.rejects(async () => log('now there is room', '10.1.1.1'), Unauthorized);
});

test('wrong logins from one network get ever longer pauses, and no check in them', async () => {
  const { clock, log, ask, failures } = rig();
  await log('right', '10.0.0.2');
  const wrong = async (from = '10.0.0.1') => {
    await assert.rejects(async () => log('wrong', from), Unauthorized);
  };
  for (let count = 0; count <= LOGIN_FAILURES_FREE; count++) await wrong();
  assert.throws(() => log('not checked'), Busy);
  assert.throws(() => log('not checked', '::ffff:10.0.0.1'), Busy, 'the same address');
  assert.throws(() => ask('Bearer astera_x'), Busy, 'nor a token');
  assert.deepEqual(ask(`Bearer ${TOKEN}`), ['read'], 'a right token goes on');
  assert.deepEqual(log('right'), ['private'], 'and a login that was right before');
  await wrong('10.0.0.9');
  clock.pass(2_000);
  await wrong();
  clock.pass(2_000);
  assert.throws(() => log('not checked'), Busy, 'twice as long now');
  clock.pass(2_000);
  assert.deepEqual(
    failures.filter((line) => line.startsWith('10.0.0.1 ')),
    [...Array(LOGIN_FAILURES_FREE).fill('10.0.0.1 0'), '10.0.0.1 2000', '10.0.0.1 4000'],
  );
  for (let count = 0; count < 10; count++) {
    await wrong();
    clock.pass(LOGIN_PAUSE_MS_MAX);
  }
  assert.equal(failures.at(-1), `10.0.0.1 ${LOGIN_PAUSE_MS_MAX}`);
  clock.pass(LOGIN_PAUSE_MS_MAX + 1);
  await wrong();
  assert.equal(failures.at(-1), '10.0.0.1 0', 'forgotten');
});

test('all addresses of an IPv6 network are one guesser', async () => {
  const { ask, failures } = rig();
  for (let count = 0; count <= LOGIN_FAILURES_FREE; count++) {
    assert.throws(() => ask('Bearer astera_x', `2001:db8::${count + 1}`), Unauthorized);
  }
  assert.throws(() => ask('Bearer astera_x', '2001:db8::ffff'), Busy);
  assert.throws(() => ask('Bearer astera_x', '2001:db8:0:1::1'), Unauthorized);
  assert.equal(failures[0], '2001:db8:0:0::/64 0');
});

test('tokens: right, wrong, expired', () => {
  const expiring = { ...token, name: 'b', sha256: hashToken('astera_b'), expiresMs: 1_700_000_001_000 };
  const { clock, ask, failures, logins } = rig([token, expiring]);
  assert.deepEqual(ask(`Bearer ${TOKEN}`), ['read']);
  assert.deepEqual(ask('Bearer astera_b'), ['read']);
  clock.pass(1_000);
  assert.throws(() => ask('Bearer astera_b'), /the token has expired/);
  assert.deepEqual(failures, [], 'whoever has it guesses nothing');
  for (const wrong of ['', TOKEN.slice(0, -1), `${TOKEN}x`, token.sha256]) {
    assert.throws(() => logins.scopesOf(tokenCredentials(wrong), new Uint8Array(4)), /no such token/);
  }
  assert.throws(() => ask('Digest x'), Unauthorized);
});

test('other accounts take the place of those before, also while one is checked', async () => {
  const { logins, log, ask } = rig();
  await log('right');
  const underWay = log('other', '10.0.0.7', 'bob');
  logins.replace([user('alice', 'new')]);
  await assert.rejects(async () => underWay, Unauthorized);
  await assert.rejects(async () => log('right'), Unauthorized);
  assert.throws(() => ask(`Bearer ${TOKEN}`), Unauthorized);
  const late = log('new');
  logins.replace([alice]);
  await Promise.allSettled([late]);
  await assert.rejects(async () => log('new'), Unauthorized, 'it is not remembered');
});

test('a token of the issuer is checked once, remembered until its end, and gives what the rules say', async () => {
  const clock = new FakeClock();
  const asked: string[] = [];
  let failure: Error | undefined;
  const failures: string[] = [];
  const rule = {
    kind: 'oidc',
    name: 'r',
    scopes: ['cache-write'],
    claims: [{ name: 'ref', pattern: 'main' }],
  } as const;
  const logins = new Logins({
    accounts: [rule],
    clock,
    verifyJwt: async (token) => {
      asked.push(token);
      if (failure !== undefined) throw failure;
      return { claims: { ref: token.split('.')[1] }, expiresMs: clock.wallMs() + 5_000 };
    },
    onFailure: (address) => void failures.push(address),
  });
  const ask = (token: string) => logins.scopesOf(tokenCredentials(token), Uint8Array.of(10, 0, 0, 1));
  assert.deepEqual(await Promise.all([ask('a.main.c'), ask('a.main.c')]), [['cache-write'], ['cache-write']]);
  assert.deepEqual(ask('a.main.c'), ['cache-write'], 'at once');
  assert.deepEqual(await ask('a.other.c'), []);
  assert.equal(asked.length, 2);
  clock.pass(5_000);
  await ask('a.main.c');
  assert.equal(asked.length, 3, 'its end has come');
  logins.replace([]);
  assert.deepEqual(await ask('a.main.c'), [], 'the rules are read anew');
  assert.throws(() => ask('no-jwt'), Unauthorized);
  failure = new Busy('the issuer is away');
  await assert.rejects(Promise.resolve(ask('x.main.c')), Busy);
  assert.equal(failures.length, 1, 'nobody is to blame for that');
  failure = new Unauthorized('wrong');
  for (let n = 0; n < LOGIN_FAILURES_FREE; n++)
    await assert.rejects(async () => ask(`${n}.main.c`), Unauthorized);
  await assert.rejects(async () => ask('y.main.c'), Busy, 'patience');
});

test('an issuer that does not answer holds up its own tokens, and no password', async () => {
  const logins = new Logins({
    accounts: [alice],
    clock: new FakeClock(),
    verifyJwt: () => new Promise(() => {}),
    onFailure: () => {},
  });
  const ask = (header: string) => {
    const credentials = parseAuthorization(header);
    assert.ok(credentials !== undefined);
    return logins.scopesOf(credentials, Uint8Array.of(10, 0, 0, 1));
  };
  const held = LOGINS_CHECKED_MAX + LOGINS_WAITING_MAX;
  for (let n = 0; n < held; n++) void ask(`Bearer ${n}.b.c`);
  await assert.rejects(async () => ask('Bearer one.more.c'), Busy);
  assert.deepEqual(await ask(`Basic ${btoa('alice:right')}`), ['private']);
});
