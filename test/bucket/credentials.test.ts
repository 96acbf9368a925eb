// Goal: the keys are those that AWS' own programs would take from the environment or the shared file, and no error has one.
// Method: files written by the test, in a HOME of its own.

import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { bucketEnv, findCredentials } from '../../src/bucket/credentials.ts';
import { tempDir } from '../support/temp-dir.ts';

const FILE = `# of the tests
[default]
aws_access_key_id = DEFAULT
aws_secret_access_key = default/secret+=

[ ci ]
aws_access_key_id=CI
aws_secret_access_key=ci-secret
aws_session_token=ci-token
region = eu-north-1

[half]
aws_access_key_id = HALF
`;

function home(t: TestContext, text = FILE): string {
  const directory = tempDir(t);
  mkdirSync(join(directory, '.aws'));
  writeFileSync(join(directory, '.aws/credentials'), text);
  return directory;
}

const inEnv = { AWS_ACCESS_KEY_ID: 'ENV', AWS_SECRET_ACCESS_KEY: 'env-secret' };

for (const { why, env, expected } of [
  { why: 'the environment', env: { ...inEnv, AWS_PROFILE: 'ci' }, expected: ['ENV', 'env-secret'] },
  {
    why: 'with a session',
    env: { ...inEnv, AWS_SESSION_TOKEN: 'token' },
    expected: ['ENV', 'env-secret', 'token'],
  },
  { why: 'the default profile', env: {}, expected: ['DEFAULT', 'default/secret+='] },
  {
    why: 'half an environment',
    env: { AWS_ACCESS_KEY_ID: 'ENV' },
    expected: ['DEFAULT', 'default/secret+='],
  },
  { why: 'another profile', env: { AWS_PROFILE: 'ci' }, expected: ['CI', 'ci-secret', 'ci-token'] },
]) {
  test(`keys of ${why}`, (t) => {
    const { accessKeyId, secretAccessKey, sessionToken } = findCredentials({ ...env, HOME: home(t) });
    const found = [accessKeyId, secretAccessKey, ...(sessionToken === undefined ? [] : [sessionToken])];
    assert.deepEqual(found, expected);
  });
}

for (const { why, env, text, message } of [
  {
    why: 'a profile that is not there',
    env: { AWS_PROFILE: 'no' },
    message: /no keys: set AWS_ACCESS_KEY_ID .* profile "no" in /,
  },
  { why: 'a profile of one key', env: { AWS_PROFILE: 'half' }, message: /no keys/ },
  {
    why: 'a key with a line break',
    env: { ...inEnv, AWS_SESSION_TOKEN: 'secret\r\nHost: x' },
    message: /a key has spaces/,
  },
  { why: 'a file without end', env: {}, text: 'secret'.repeat(60_000), message: /over 262144 bytes/ },
]) {
  test(`${why} is one line without a secret`, (t) => {
    assert.throws(
      () => findCredentials({ HOME: home(t, text), ...env }),
      ({ name, message: told }: Error) =>
        name === 'UsageError' &&
        message.test(told) &&
        !/secret(?!_access)|\n/.test(told.replaceAll('AWS_SECRET', '')),
    );
  });
}

test('a thread for buckets is given what AWS calls its own, and HOME', () => {
  const env = { AWS_REGION: 'x', AWSOME: '1', HOME: '/h', PATH: '/bin', ASTERA_TOKEN: 'secret' };
  assert.deepEqual(bucketEnv(env), { AWS_REGION: 'x', HOME: '/h' });
});
