// Goal: a private module goes to those who log in, by whatever the go command can send, and to nobody else; and no
// secret reaches the log.
// Method: real servers, by https and http, whose private modules no network may read; real go commands with a .netrc, a
// token in the path, or neither.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Astera, parseMetrics } from '../support/astera.ts';
import { AsteraCommand } from '../support/astera-command.ts';
import { makeCertificate } from '../support/certificate.ts';
import { fileOf, hidden, madeUp } from '../support/forged-modules.ts';
import { GoClient } from '../support/go.ts';
import { LyingUpstream } from '../support/lying-upstream.ts';
import { tempDir } from '../support/temp-dir.ts';

const open = madeUp('open');
const PASSWORD = 'correct-horse';

async function astera(args: readonly string[], stdin = ''): Promise<string> {
  const { code, stdout, stderr } = await new AsteraCommand(args, { stdin }).exited;
  assert.equal(code, 0, stderr);
  return stdout.trim();
}

/** A file with alice and three tokens. */
async function makeUsers(t: TestContext) {
  const file = join(tempDir(t), 'users');
  const user = (words: readonly string[], stdin?: string) =>
    astera(['user', ...words, '--auth-file', file], stdin);
  await user(['add', 'alice'], `${PASSWORD}\n`);
  const good = await user(['add', 'ci', '--token']);
  const poor = await user(['add', 'poor', '--token', '--scopes', 'read,cache-write']);
  const expired = await user(['add', 'old', '--token', '--expires', '1ms']);
  const team = await user([
    'add',
    'team',
    '--token',
    '--scopes',
    `read:${open.path},private:${hidden.path}/inner`,
  ]);
  const admin = await user(['add', 'prometheus', '--token', '--scopes', 'admin']);
  return { file, user, good, poor, expired, team, admin };
}

async function serve(t: TestContext, users: string, flags: readonly string[]): Promise<Astera> {
  const upstream = await LyingUpstream.start([hidden, open], {});
  t.after(() => upstream.close());
  const server = await Astera.start({
    upstream: upstream.url,
    flags: ['--private', hidden.path, '--private-allow', 'none', '--auth-file', users, ...flags],
    env: { GONOPROXY: 'none', ASTERA_VERIFY: 'off', ASTERA_LOG_LEVEL: 'debug' },
  });
  t.after(() => server.dispose());
  return server;
}

/** As Prometheus asks for them. */
async function metrics(server: Astera, { admin }: { readonly admin: string }) {
  const response = await server.get('metrics', { headers: { authorization: `Bearer ${admin}` } });
  assert.equal(response.status, 200);
  return parseMetrics(await response.text());
}

/** Runs `go mod download` of a module in a client that has nothing. */
async function download(t: TestContext, module: typeof open, proxy: string, env: Record<string, string>) {
  const go = await GoClient.create(proxy, { env });
  t.after(() => go.dispose());
  const { code, stdout } = await go.run('mod', 'download', '-json', `${module.path}@${module.version}`);
  return { code, stdout };
}

test('over https the go command logs in by .netrc, with a password or a token', async (t) => {
  const users = await makeUsers(t);
  const { certPath, keyPath } = makeCertificate(t);
  const server = await serve(t, users.file, ['--tls-cert', certPath, '--tls-key', keyPath]);
  assert.match(server.url, /^https:/);
  const directory = tempDir(t);
  const { host, port } = new URL(server.url);
  const envOf = (netrc: string) => {
    const NETRC = join(directory, 'netrc');
    writeFileSync(NETRC, netrc);
    return { NETRC, SSL_CERT_FILE: certPath };
  };
  const netrc = (login: string, password: string) =>
    // With the port: go 1.24 and newer look for the host as it stands in the URL.
    `machine ${host}\nlogin ${login}\npassword ${password}\n`;
  const rows: { why: string; netrc: string; refused?: RegExp }[] = [
    { why: 'no login', netrc: '', refused: /401 Unauthorized.*a login is needed/ },
    { why: 'right', netrc: netrc('alice', PASSWORD) },
    { why: 'right, remembered', netrc: netrc('alice', PASSWORD) },
    { why: 'wrong', netrc: netrc('alice', 'wrong-horse'), refused: /401 .*wrong user or password/ },
    { why: 'unknown', netrc: netrc('bob', PASSWORD), refused: /401 .*wrong user or password/ },
    { why: 'a token', netrc: netrc('any', users.good) },
    { why: 'a token without the scope', netrc: netrc('any', users.poor), refused: /403 .*lacks the scope/ },
    { why: 'an expired token', netrc: netrc('any', users.expired), refused: /401 .*has expired/ },
  ];
  for (const { why, netrc, refused } of rows) {
    const { code, stdout } = await download(t, hidden, server.url, envOf(netrc));
    assert.equal(code, refused === undefined ? 0 : 1, `${why}: ${stdout}`);
    if (refused !== undefined) assert.match(stdout, refused, why);
  }
  assert.equal((await download(t, open, server.url, envOf(''))).code, 0, 'what is public needs no login');

  const got = async (authorization?: string) => {
    const headers = authorization === undefined ? {} : { authorization };
    const path = `/${fileOf(hidden, 'zip')}`;
    const asked = request({ host: '127.0.0.1', port, path, headers, ca: readFileSync(certPath) }).end();
    const [response] = (await once(asked, 'response')) as [IncomingMessage];
    response.resume();
    return [response.statusCode, response.headers['www-authenticate'], response.headers['cache-control']];
  };
  const challenge = 'Basic realm="astera", charset="UTF-8"';
  assert.deepEqual(await got(), [401, challenge, 'no-store']);
  assert.deepEqual(await got(`Bearer ${users.good}`), [200, undefined, 'private, no-store']);

  await users.user(['remove', 'alice']);
  process.kill(server.pid, 'SIGHUP');
  while (!/read again: [^"]*users and tokens, the certificate/.test(server.log)) {
    assert.equal((await got(`Bearer ${users.good}`))[0], 200);
  }
  assert.deepEqual((await got(`Basic ${Buffer.from(`alice:${PASSWORD}`).toString('base64')}`))[0], 401);
  await server.stop();
  for (const secret of [PASSWORD, 'wrong-horse', users.good, users.poor, users.expired]) {
    assert.ok(!server.log.includes(secret), secret);
  }
});

test('over http a token stands in the path, and nowhere else after it', async (t) => {
  const users = await makeUsers(t);
  const server = await serve(t, users.file, []);
  const at = (token: string) => `${server.url}/token/${token}`;
  const rows: { why: string; proxy: string; refused?: RegExp }[] = [
    { why: 'none', proxy: server.url, refused: /401 Unauthorized/ },
    { why: 'right', proxy: at(users.good) },
    { why: 'right, before a prefix', proxy: `${at(users.good)}/mod` },
    { why: 'wrong', proxy: at(users.good.slice(0, -1)), refused: /401 .*no such token/ },
    { why: 'expired', proxy: at(users.expired), refused: /401 .*has expired/ },
    { why: 'without the scope', proxy: at(users.poor), refused: /403 .*lacks the scope/ },
    { why: 'for other modules', proxy: at(users.team), refused: /403 .*for other modules/ },
  ];
  for (const { why, proxy, refused } of rows) {
    const { code, stdout } = await download(t, hidden, proxy, {});
    assert.equal(code, refused === undefined ? 0 : 1, `${why}: ${stdout}`);
    if (refused !== undefined) assert.match(stdout, refused, why);
    assert.equal((await download(t, open, proxy, {})).code, 0, `${why}: what is public needs no token`);
  }
  const says = async (path: string) => (await server.get(path)).text();
  for (const path of ['x', '%ff', 'mod/', 'a.example/@v/v1.0.0.zip', 'sumdb/x/latest', '']) {
    for (const word of ['token', '%74oken']) {
      const text = await says(`${word}/${users.good}/${path}`);
      assert.ok(!text.includes(users.good), `${path}: ${text}`);
    }
  }
  const failures = (await metrics(server, users)).get('astera_login_failures_total');
  assert.ok(failures !== undefined && failures >= 1, String(failures));
  await server.stop();
  for (const secret of [users.good, users.poor, users.expired, users.team, users.admin]) {
    assert.ok(!server.log.includes(secret.slice(0, -1)), 'in the log');
  }
});

test('guesses are counted, and refused unchecked after a few', async (t) => {
  const users = await makeUsers(t);
  const server = await serve(t, users.file, []);
  const statusOf = async (password: string) => {
    const authorization = `Basic ${Buffer.from(`alice:${password}`).toString('base64')}`;
    return (await server.get(fileOf(hidden, 'mod'), { headers: { authorization } })).status;
  };
  assert.equal(await statusOf(PASSWORD), 200);
  const codes = new Map<number, number>();
  for (let guess = 0; guess < 30; guess++) {
    const code = await statusOf(`guess-${guess}`);
    codes.set(code, (codes.get(code) ?? 0) + 1);
  }
  assert.deepEqual([...codes.keys()].sort(), [401, 503]);
  assert.equal(await statusOf(PASSWORD), 200, 'a login that was right goes on');
  const failures = (await metrics(server, users)).get('astera_login_failures_total');
  assert.equal(failures, codes.get(401));
  await server.stop();
  await server.logged(/too many wrong logins/);
  assert.doesNotMatch(server.log, /guess-/);
});

test('with --require-login "*" public modules need a login too, and metrics the scope admin', async (t) => {
  const users = await makeUsers(t);
  const server = await serve(t, users.file, ['--require-login', '*', '--pprof']);
  const at = (token: string) => `${server.url}/token/${token}`;
  const rows: { why: string; proxy: string; refused?: RegExp }[] = [
    { why: 'none', proxy: server.url, refused: /401 Unauthorized.*needs a login here/ },
    { why: 'read', proxy: at(users.poor) },
    { why: 'private', proxy: at(users.good) },
    { why: 'for this module and others', proxy: at(users.team) },
    { why: 'admin', proxy: at(users.admin), refused: /403 .*lacks the scope .*read/ },
  ];
  for (const { why, proxy, refused } of rows) {
    const { code, stdout } = await download(t, open, proxy, {});
    assert.equal(code, refused === undefined ? 0 : 1, `${why}: ${stdout}`);
    if (refused !== undefined) assert.match(stdout, refused, why);
  }
  for (const path of ['metrics', 'debug/pprof/heap']) {
    const statuses = async (prefix: string) => (await server.get(`${prefix}${path}`)).status;
    assert.deepEqual([await statuses(''), await statuses(`token/${users.good}/`)], [401, 403], path);
    assert.equal(await statuses(`token/${users.admin}/`), 200, path);
  }
  assert.equal((await server.get('readyz')).status, 200, 'health checks need no login');
});
