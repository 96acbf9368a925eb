// Goal: only a token that the issuer itself has signed, for us and for now, is taken; and whatever tokens come, the issuer
// is asked seldom.
// Method: a real issuer on loopback; each row is wrong in one way. The clock is the test's.

import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { after, type TestContext, test } from 'node:test';
import { Busy, Unauthorized } from '../../src/core/errors.ts';
import { isSafe, issuerGet } from '../../src/oidc/issuer-get.ts';
import { JwtVerifier } from '../../src/oidc/jwt-verifier.ts';
import {
  ISSUER_ANSWER_BYTES_MAX,
  ISSUER_KEYS_FRESH_MS,
  ISSUER_KEYS_KEPT_MS,
  ISSUER_KEYS_MAX,
  ISSUER_PAUSE_MS,
} from '../../src/oidc/limits.ts';
import { FakeClock } from '../support/fakes.ts';
import { OidcIssuer, type TokenForm } from '../support/oidc-issuer.ts';

const NO_PROXY = { HTTP_PROXY: '', HTTPS_PROXY: '', NO_PROXY: '' };

function rig(issuer: OidcIssuer, url = issuer.url) {
  const clock = new FakeClock();
  const failures: string[] = [];
  const onFailure = (why: string) => void failures.push(why);
  const get = issuerGet(NO_PROXY);
  const { verify } = new JwtVerifier({ issuer: url, audience: 'astera', get, clock, onFailure });
  const nowS = Math.floor(clock.wallMs() / 1000);
  const claims = { iss: issuer.url, aud: 'astera', sub: 'job', iat: nowS, exp: nowS + 300 };
  return { clock, failures, verify, claims, nowS };
}

async function own(t: TestContext) {
  const issuer = await OidcIssuer.start();
  t.after(() => issuer.close());
  return issuer;
}

const shared = await OidcIssuer.start();
after(() => shared.close());
const { verify, claims: good, nowS } = rig(shared);

for (const alg of ['RS256', 'ES256', 'EdDSA'] as const) {
  test(`taken: ${alg}`, async () => {
    const { claims, expiresMs } = await verify(shared.token({ ...good, ref: 'main' }, { alg }));
    assert.deepEqual([claims.ref, expiresMs], ['main', good.exp * 1000]);
  });
}

const rows: { why: string; claims?: Record<string, unknown>; form?: TokenForm; is?: true }[] = [
  { why: 'one of several audiences', claims: { aud: ['other', 'astera'] }, is: true },
  { why: 'expired within the leeway', claims: { exp: nowS - 50 }, is: true },
  { why: 'not yet, within the leeway', claims: { nbf: nowS + 50 }, is: true },
  { why: 'no algorithm', form: { alg: 'none' } },
  { why: 'no algorithm, in capitals', form: { alg: 'none', header: { alg: 'NONE' } } },
  { why: 'HMAC by the public key', form: { alg: 'HS256' } },
  { why: 'HMAC under the name of the RSA key', form: { alg: 'HS256', header: { kid: 'RS256-1' } } },
  { why: 'another algorithm than its key has', form: { alg: 'ES256', header: { kid: 'RS256-1' } } },
  { why: 'an unknown key', form: { header: { kid: 'unknown' } } },
  { why: 'another key', form: { key: generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey } },
  {
    why: 'a key that it brings itself',
    form: ((pair) => ({
      key: pair.privateKey,
      header: { jwk: pair.publicKey.export({ format: 'jwk' }), jku: 'http://127.0.0.1:1/', kid: undefined },
    }))(generateKeyPairSync('ec', { namedCurve: 'P-256' })),
  },
  { why: 'an extension that must be understood', form: { header: { crit: ['x'], x: 1 } } },
  { why: 'another issuer', claims: { iss: 'https://other.example' } },
  { why: "the issuer's name with a slash more", claims: { iss: `${shared.url}/` } },
  { why: 'no issuer', claims: { iss: undefined } },
  { why: 'another audience', claims: { aud: 'astera2' } },
  { why: 'no audience', claims: { aud: undefined } },
  { why: 'expired', claims: { exp: nowS - 70 } },
  { why: 'no end', claims: { exp: undefined } },
  { why: 'an end that is no number', claims: { exp: 'never' } },
  { why: 'not yet', claims: { nbf: nowS + 70 } },
  { why: 'of the future', claims: { iat: nowS + 70 } },
  { why: 'no beginning', claims: { iat: undefined } },
  { why: 'issued days ago', claims: { iat: nowS - 200_000 } },
];
for (const { why, claims, form, is } of rows) {
  test(`${is ? 'taken' : 'refused'}: ${why}`, async () => {
    const token = shared.token({ ...good, ...claims }, form);
    if (is) assert.ok(await verify(token));
    else {
      await assert.rejects(verify(token), (error: Error) => {
        assert.ok(error instanceof Unauthorized, String(error));
        assert.ok(!error.message.includes(token.slice(-20) || token), 'no token in an error');
        return true;
      });
    }
  });
}

test('a changed claim or a cut signature is refused', async () => {
  const [head, , signature] = shared.token(good).split('.');
  const claims = Buffer.from(JSON.stringify({ ...good, sub: 'admin' })).toString('base64url');
  for (const token of [`${head}.${claims}.${signature}`, shared.token(good).slice(0, -4), 'a.b.c']) {
    await assert.rejects(verify(token), Unauthorized);
  }
});

test('keys are read once, then again for a new key, but not for each token with an unknown one', async (t) => {
  const issuer = await own(t);
  const { clock, verify, claims } = rig(issuer);
  await Promise.all([1, 2, 3].map(() => verify(issuer.token(claims))));
  assert.equal(issuer.asked.length, 2, 'metadata and keys, once');
  issuer.rotate();
  await assert.rejects(verify(issuer.token(claims)), Unauthorized, 'in the pause');
  clock.pass(ISSUER_PAUSE_MS);
  const forged = issuer.token(claims, { header: { kid: 'x' } });
  await assert.rejects(verify(forged), Unauthorized);
  assert.equal(issuer.asked.length, 4);
  await verify(issuer.token(claims));
  for (let n = 0; n < 20; n++) await assert.rejects(verify(forged), Unauthorized);
  assert.equal(issuer.asked.length, 4);
});

test('a key that the issuer has withdrawn counts for an hour at most; while it is silent, its keys count for a day', async (t) => {
  const issuer = await own(t);
  const { clock, verify, claims, failures } = rig(issuer);
  const withdrawn = issuer.token({ ...claims, exp: claims.exp + 200_000 });
  await verify(withdrawn);
  issuer.answer = () => ({ status: 500, body: '' });
  clock.pass(ISSUER_KEYS_FRESH_MS);
  for (const _ of [1, 2, 3]) assert.ok(await verify(withdrawn));
  assert.equal(issuer.asked.length, 3, 'one try, then a pause');
  assert.match(failures.join('\n'), /^cannot read the keys of http:\S+: status 500$/);
  issuer.answer = undefined;
  issuer.rotate();
  clock.pass(ISSUER_PAUSE_MS);
  await assert.rejects(verify(withdrawn), Unauthorized);
  assert.ok(await verify(issuer.token({ ...claims, iat: nowOf(clock), exp: nowOf(clock) + 9 })));
  issuer.answer = () => ({ status: 500, body: '' });
  clock.pass(ISSUER_KEYS_KEPT_MS);
  const late = issuer.token({ ...claims, iat: nowOf(clock), exp: nowOf(clock) + 9 });
  for (const _ of [1, 2]) await assert.rejects(verify(late), Busy);
});

function nowOf(clock: FakeClock): number {
  return Math.floor(clock.wallMs() / 1000);
}

const wrong: { why: string; body: (issuer: OidcIssuer) => string; on: string }[] = [
  {
    why: 'metadata of another issuer',
    on: '/.well-known',
    body: ({ url }) => `{"issuer":"${url}/","jwks_uri":"${url}/keys"}`,
  },
  {
    why: 'keys over http from elsewhere',
    on: '/.well-known',
    body: ({ url }) => `{"issuer":"${url}","jwks_uri":"http://keys.example/"}`,
  },
  {
    why: 'keys in a file',
    on: '/.well-known',
    body: ({ url }) => `{"issuer":"${url}","jwks_uri":"file:///etc/passwd"}`,
  },
  { why: 'no metadata', on: '/.well-known', body: () => '<html>' },
  { why: 'no keys', on: '/keys', body: () => '{"keys":{}}' },
  { why: 'null', on: '/keys', body: () => 'null' },
  {
    why: 'too many keys',
    on: '/keys',
    body: () => JSON.stringify({ keys: Array(ISSUER_KEYS_MAX + 1).fill({ kty: 'EC' }) }),
  },
  { why: 'an endless answer', on: '/keys', body: () => `{"keys":[]${' '.repeat(ISSUER_ANSWER_BYTES_MAX)}}` },
];
for (const { why, body, on } of wrong) {
  test(`an issuer that answers wrongly is a 503, and is asked seldom: ${why}`, async (t) => {
    const issuer = await own(t);
    issuer.answer = (path) => (path.startsWith(on) ? { body: body(issuer) } : undefined);
    const { verify, claims, failures } = rig(issuer);
    for (const _ of [1, 2, 3]) await assert.rejects(verify(issuer.token(claims)), Busy);
    assert.equal(failures.length, 1);
    assert.ok(issuer.asked.length <= 2);
  });
}

test('an issuer with https has its keys there too, not with a program on this machine', async () => {
  const issuer = 'https://ci.example';
  const asked: string[] = [];
  const get = async ({ href }: URL) => {
    asked.push(href);
    return { issuer, jwks_uri: `${shared.url}/keys` };
  };
  const clock = new FakeClock();
  const { verify } = new JwtVerifier({ issuer, audience: 'astera', get, clock, onFailure: () => {} });
  await assert.rejects(verify(shared.token({ ...good, iss: issuer })), Busy);
  assert.deepEqual(asked, [`${issuer}/.well-known/openid-configuration`]);
});

test('nobody may ask for keys by http but on loopback', () => {
  for (const [url, is] of [
    ['https://ci.example', true],
    ['http://127.0.0.1:80/x', true],
    ['http://[::1]/', true],
    ['http://localhost', true],
    ['http://localhost.example', false],
    ['http://127.0.0.1.example', false],
    ['http://ci.example', false],
    ['ftp://127.0.0.1', false],
  ] as const) {
    assert.equal(isSafe(new URL(url)), is, url);
  }
});
