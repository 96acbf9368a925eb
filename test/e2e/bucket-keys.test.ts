// Goal: a server takes the keys of its bucket from wherever AWS's own programs would, takes new ones when the old ones are refused,
// and tells no secret.
// Method: a real S3 server; keys from a program that a profile names, and from a service as containers have it.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, type TestContext, test } from 'node:test';
import { Astera, runAstera } from '../support/astera.ts';
import { uploaded } from '../support/bucket-nodes.ts';
import { BUCKET_KEYS, BucketServer } from '../support/bucket-server.ts';
import { LocalUpstream } from '../support/local-upstream.ts';
import { tempDir } from '../support/temp-dir.ts';

const FILE = 'made-up.example/m/@v/v1.0.0.mod';
const { AWS_ACCESS_KEY_ID: AccessKeyId, AWS_SECRET_ACCESS_KEY: SecretAccessKey } = BUCKET_KEYS;
const LIMIT = { timeout: 120_000 };
/** What AWS's own code needs to look at no service of this machine. */
const NO_SERVICE = { AWS_EC2_METADATA_DISABLED: 'true' };

let bucket: BucketServer;
let upstream: LocalUpstream;
const disposers: (() => unknown)[] = [];
const suite = { after: (dispose: () => unknown) => void disposers.unshift(dispose) };

before(async () => {
  bucket = await BucketServer.start(tempDir(suite));
  suite.after(() => bucket.stop());
  upstream = await LocalUpstream.start({
    madeUp: [{ path: 'made-up.example/m', version: 'v1.0.0', contentBytes: 1 }],
  });
  suite.after(() => upstream.close());
});

after(async () => {
  for (const dispose of disposers) await dispose();
});

/** A profile whose keys a program gives. @param lines of a shell script */
function profile(t: TestContext, lines: readonly string[]): Record<string, string> {
  const directory = tempDir(t);
  const [program, file] = [join(directory, 'give-keys'), join(directory, 'config')];
  writeFileSync(program, ['#!/bin/sh', ...lines, ''].join('\n'));
  chmodSync(program, 0o700);
  writeFileSync(file, `[default]\ncredential_process = ${program} top-secret\n`);
  return { AWS_CONFIG_FILE: file, AWS_SHARED_CREDENTIALS_FILE: join(directory, 'none'), ...NO_SERVICE };
}

/** Resolves when a server with these variables has uploaded a file. */
async function upload(t: TestContext, prefix: string, env: Record<string, string>): Promise<void> {
  const astera = await Astera.start({
    upstream: upstream.url,
    flags: ['--bucket=bucket', `--s3-endpoint-url=${bucket.url}`, `--prefix=${prefix}`, '--verify=off'],
    env,
  });
  t.after(() => astera.dispose());
  assert.equal((await astera.get(FILE)).status, 200);
  const object = join(bucket.directory, prefix, 'mod', FILE);
  while (!existsSync(object)) await astera.metrics();
  await uploaded(astera);
  assert.match(readFileSync(object, 'utf8'), /^module made-up/);
  assert.ok(![SecretAccessKey, 'top-secret', 'a-word'].some((secret) => astera.log.includes(secret)));
}

test('keys of a program that a profile names, and new ones when they are refused', LIMIT, async (t) => {
  const count = join(tempDir(t), 'count');
  const env = profile(t, [
    `echo asked >> '${count}'`,
    `[ "$(wc -l < '${count}')" -gt 1 ] && key='${SecretAccessKey}' || key=old`,
    `printf '{"Version":1,"AccessKeyId":"${AccessKeyId}","SecretAccessKey":"%s"}' "$key"`,
  ]);
  await upload(t, 'by-program', env);
  assert.equal(readFileSync(count, 'utf8'), 'asked\nasked\n', 'once at the start, once after a refusal');
});

test('keys of a service as containers have it', LIMIT, async (t) => {
  const words: (string | undefined)[] = [];
  const service = createServer((request, response) => {
    words.push(request.headers.authorization);
    const Expiration = new Date(Date.now() + 3_600_000).toISOString();
    response.setHeader('content-type', 'application/json');
    // The bucket takes no sessions: to it the first ones have run out.
    const Token = words.length === 1 ? 'session' : '';
    response.end(JSON.stringify({ AccessKeyId, SecretAccessKey, Token, Expiration }));
  });
  service.listen(0, '127.0.0.1');
  await once(service, 'listening');
  t.after(() => service.close());
  const { port } = service.address() as AddressInfo;
  await upload(t, 'by-service', {
    AWS_CONTAINER_CREDENTIALS_FULL_URI: `http://127.0.0.1:${port}/keys`,
    AWS_CONTAINER_AUTHORIZATION_TOKEN: 'a-word',
    AWS_SHARED_CREDENTIALS_FILE: join(tempDir(t), 'none'),
  });
  assert.deepEqual(words, ['a-word', 'a-word'], 'they are kept until the bucket refuses them');
});

test('without keys a server does not start, and says so on one line without a secret', async (t) => {
  const env = profile(t, ['echo top-secret >&2', 'exit 1']);
  const db = join(tempDir(t), 'a.db');
  for (const command of [['serve', '--addr=127.0.0.1:0'], ['pull', '--all'], ['push']]) {
    const flags = ['--db', db, '--bucket=bucket', `--s3-endpoint-url=${bucket.url}`];
    const run = await runAstera([...command, ...flags], { ...env, ASTERA_UPSTREAM: upstream.url });
    assert.equal(run.code, 2, run.stderr);
    assert.match(
      run.stderr,
      /^astera: cannot use --bucket: no keys: set AWS_ACCESS_KEY_ID [^\n]*, SSO, credential_process or [^\n]*\n$/m,
    );
    assert.ok(!run.stderr.includes('top-secret'));
  }
});
