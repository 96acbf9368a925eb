// Goal: no password, token or key that a server was given, or that a client has sent, stands in what the server says: its status
// page, figures, metrics, profiles, error answers, log, and the commands that look at its store. To those without the right, no
// private module is named either.
// Method: a real server that has a secret of each kind and uses each, with success and without; then all that it says is searched
// for each secret in every spelling that it may have. Malformed settings are searched for what they hold, too.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type Astera, runAstera } from '../support/astera.ts';
import { AsteraCommand } from '../support/astera-command.ts';
import { BucketDoor, s3Error } from '../support/bucket-door.ts';
import { startNode } from '../support/bucket-nodes.ts';
import { BucketServer } from '../support/bucket-server.ts';
import { writeDownloadCache } from '../support/download-cache.ts';
import { madeUp } from '../support/forged-modules.ts';
import { refusing } from '../support/gone-upstream.ts';
import { type MadeUpModule, madeUpFiles } from '../support/module-zip.ts';
import { tempDir } from '../support/temp-dir.ts';

const open = madeUp('open');
const HIDDEN: MadeUpModule = { path: 'corp.example/hidden', version: 'v1.4.7', contentBytes: 100 };

/** With characters that a URL, a header and JSON spell otherwise. */
const word = (name: string) => `pw+of/${name}="1"`;
const UPSTREAM = word('upstream');
const GONE = word('gone');
const PROXY = word('proxy');
const VULNDB = word('vulndb');
const BUCKET = word('bucket');
const SESSION = word('session');
const ALICE = word('alice');
const GUESS = word('guess');

const login = (password: string) => `user:${encodeURIComponent(password)}`;
const basic = (user: string, password: string) =>
  `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;

/** As it is, in a URL, in JSON, and in a header. */
function spellings(secret: string): string[] {
  const both = ['user', 'alice', 'any'].map((user) => basic(user, secret).slice('Basic '.length));
  const plain = [secret, encodeURIComponent(secret), JSON.stringify(secret).slice(1, -1)];
  return [...plain, ...both, Buffer.from(secret).toString('base64').slice(0, -2)];
}

function assertNone(said: ReadonlyMap<string, string>, secrets: Readonly<Record<string, string>>): void {
  for (const [where, text] of said)
    for (const [what, secret] of Object.entries(secrets))
      for (const spelling of spellings(secret))
        assert.ok(!text.includes(spelling), `${what} stands in ${where}: ${text.slice(0, 2_000)}`);
}

/** A module proxy that gives `open` to those who log in, and counts them. */
async function startUpstream(t: TestContext) {
  const files = madeUpFiles(open);
  let served = 0;
  const server = createServer(({ url = '', headers }, response) => {
    const kind = new RegExp(`^/${open.path}/@v/v1\\.0\\.0\\.(info|mod|zip)$`).exec(url)?.[1];
    const isRight = headers.authorization === basic('user', UPSTREAM);
    if (isRight && kind !== undefined) served += 1;
    const body = kind === undefined ? undefined : files[kind as keyof typeof files];
    response.writeHead(isRight ? (body === undefined ? 404 : 200) : 401).end(isRight ? body : 'who?\n');
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  return { host: `127.0.0.1:${(server.address() as AddressInfo).port}`, served: () => served };
}

async function addUser(file: string, words: readonly string[], stdin = ''): Promise<string> {
  const command = new AsteraCommand(['user', 'add', ...words, '--auth-file', file], { stdin });
  const { code, stdout, stderr } = await command.exited;
  assert.equal(code, 0, stderr);
  return stdout.trim();
}

/** All that the server says to a client, by what was asked. */
async function looks(astera: Astera, headers: Record<string, string>): Promise<Map<string, string>> {
  const said = new Map<string, string>();
  const asked = [
    ...['', 'status/now.json', 'status/vulnerabilities.json', 'status/modules.json?q=', 'metrics'],
    ...['status/modules.json?q=hidden', `status/versions.json?module=${HIDDEN.path}`],
    'debug/pprof/heap',
  ];
  for (const path of asked) {
    for (const accept of path === '' ? ['text/html', 'text/plain'] : ['*/*']) {
      const response = await astera.get(path, { headers: { ...headers, accept } });
      const head = JSON.stringify([...response.headers]);
      said.set(`${accept} of /${path}`, `${response.status} ${head} ${await response.text()}`);
    }
  }
  return said;
}

/** Requests that go well and that fail, with logins that are right, wrong and malformed; what the failures say. */
async function use(astera: Astera, tokens: readonly string[]): Promise<Map<string, string>> {
  const said = new Map<string, string>();
  const hidden = `${HIDDEN.path}/@v/${HIDDEN.version}.mod`;
  const ask = async (path: string, authorization?: string) => {
    const response = await astera.get(
      path,
      authorization === undefined ? {} : { headers: { authorization } },
    );
    const text = await response.text();
    if (response.status !== 200)
      said.set(
        `${response.status} for ${path} ${authorization}`,
        `${text} ${JSON.stringify([...response.headers])}`,
      );
    return response.status;
  };
  for (const kind of ['info', 'mod', 'zip']) assert.equal(await ask(`${open.path}/@v/v1.0.0.${kind}`), 200);
  // One from each upstream, each of which fails in its own way.
  for (const module of ['gone.example/a', 'far.example/a', 'made-up.example/none'])
    assert.notEqual(await ask(`${module}/@v/v1.0.0.zip`), 200);
  await ask('vulndb/index/db.json');
  for (const authorization of [
    basic('alice', ALICE),
    basic('alice', GUESS),
    `Basic ${GUESS}`,
    `Digest ${GUESS}`,
  ])
    await ask(hidden, authorization);
  for (const token of [...tokens, GUESS]) {
    await ask(hidden, `Bearer ${token}`);
    await ask(hidden, basic('any', token));
    for (const path of [hidden, '', 'x', '%ff', 'metrics', 'no.example/@v/v1.zip', 'cache/action/1'])
      await ask(`token/${encodeURIComponent(token)}/${path}`);
  }
  return said;
}

for (const hasLogins of [true, false]) {
  test(`a server ${hasLogins ? 'with' : 'without'} logins keeps its secrets and those of its clients`, async (t) => {
    const directory = tempDir(t);
    const bucket = await BucketServer.start(directory);
    t.after(() => bucket.stop());
    const door = await BucketDoor.open(t, bucket.url);
    // Each upload is refused: the versitygw of the tests has other keys.
    const denied = s3Error(403, 'AccessDenied');
    door.fault = (request, response) => request.method === 'PUT' && denied(request, response);
    const upstream = await startUpstream(t);
    const gone = await refusing();
    const cache = join(directory, 'cache');
    writeDownloadCache(cache, [HIDDEN]);
    const users = join(directory, 'users');
    const tokens: string[] = [];
    if (hasLogins) {
      await addUser(users, ['alice'], `${ALICE}\n`);
      for (const scopes of ['private', 'cache-write', 'admin'])
        tokens.push(await addUser(users, [`ci-${scopes}`, '--token', '--scopes', scopes]));
    }
    const astera = await startNode(door.url, {
      upstream: `http://${login(UPSTREAM)}@${upstream.host}`,
      flags: [
        ...['--private', 'corp.example', '--private-allow', 'none', '--pprof', '--verify', 'off'],
        ...['--route', `gone.example=http://${login(GONE)}@${new URL(gone.url).host}`],
        ...['--route', 'far.example=https://far.example', '--log-level', 'debug'],
        ...['--import-local-cache', '--local-cache-dir', cache],
        ...(hasLogins ? ['--auth-file', users] : []),
      ],
      env: {
        AWS_SECRET_ACCESS_KEY: BUCKET,
        AWS_SESSION_TOKEN: SESSION,
        HTTPS_PROXY: `http://${login(PROXY)}@${new URL(gone.url).host}`,
        ASTERA_VULNDB: `http://${login(VULNDB)}@${new URL(gone.url).host}`,
      },
    });
    t.after(() => astera.dispose());
    const secrets = {
      ...{ UPSTREAM, GONE, PROXY, VULNDB, BUCKET, SESSION, ALICE, GUESS },
      ...Object.fromEntries(tokens.map((token, at) => [`token ${at}`, token])),
    };
    const failures = await use(astera, tokens);
    assert.ok(upstream.served() > 0, 'the login for the upstream was used');
    assert.ok(failures.size > 10);
    // The refused upload is in the log: what it says must be looked at too.
    while (!/upload refused|bucket counts as down/.test(astera.log))
      await astera.get('healthz').then((r) => r.text());

    const admin = tokens.at(-1);
    const outsiders = [await looks(astera, {})];
    if (admin !== undefined) outsiders.push(await looks(astera, { authorization: `Bearer ${admin}` }));
    const nobody = outsiders[0]?.get('*/* of /metrics');
    assert.match(nobody ?? '', hasLogins ? /^401 / : /^200 .*astera_answers_total/s);
    const seen = outsiders.at(-1) ?? new Map();
    assert.match(
      seen.get('*/* of /status/modules.json?q=') ?? '',
      /made-up\.example\/open/,
      'it lists modules',
    );
    for (const said of outsiders) {
      assertNone(said, { ...secrets, 'a private version': HIDDEN.version });
      // Not of those answers that repeat what the client has asked for.
      const others = [...said].filter(([where]) => !where.includes(HIDDEN.path));
      assertNone(new Map(others), { 'a private module': HIDDEN.path });
    }
    assertNone(failures, secrets);

    const commands = [['stats'], ['stats', '--json'], ['stats', '--vulns'], ['verify', '--online']];
    for (const command of commands) {
      const { stdout, stderr } = await runAstera([...command, '--db', astera.db], {
        ASTERA_UPSTREAM: `http://${login(UPSTREAM)}@${new URL(gone.url).host}`,
        ASTERA_VULNDB: `http://${login(VULNDB)}@${new URL(gone.url).host}`,
      });
      assertNone(new Map([[`astera ${command.join(' ')}`, stdout + stderr]]), secrets);
    }
    await astera.stop();
    assertNone(new Map([['the log', astera.log]]), secrets);
  });
}

/** Each is refused before anything is opened. */
const KEY = 'sum.example+00000000+AAAA';
const MALFORMED: readonly (readonly [why: string, ...flags: string[]])[] = [
  ['an upstream with a bad port', '--upstream', `http://${login(UPSTREAM)}@host.example:99999`],
  ['an upstream with a space', '--upstream', `http://${login(UPSTREAM)}@host example`],
  ['an upstream of another kind', '--upstream', `ftp://${login(UPSTREAM)}@host.example`],
  ['a route without a pattern', '--route', `=http://${login(GONE)}@host.example`],
  ['a route to nowhere', '--route', `corp.example=htp://${login(GONE)}@host.example`],
  ['a vulnerability database and more', '--vulndb', `http://${login(VULNDB)}@a.example,http://b.example`],
  ['a checksum database with a bad URL', '--sumdb', `${KEY} ftp://${login(UPSTREAM)}@host.example`],
  ['a checksum database with a bad key', '--sumdb', `sum.example+x http://${login(UPSTREAM)}@host.example`],
  ['a repository with a password', '--git', `corp.example/*=https://${login(UPSTREAM)}@host.example/*`],
  [
    'an S3 server with a password',
    '--bucket=bucket',
    `--s3-endpoint-url=http://${login(BUCKET)}@host.example`,
  ],
  ['another server with a password', '--plugin=0', `--remote=ftp://${login(BUCKET)}@host.example`],
  ['an issuer with a password', '--oidc-issuer', `https://${login(GONE)}@host.example`],
  ['an issuer over http', '--oidc-issuer', `http://${login(GONE)}@host.example`],
];

for (const [why, ...flags] of MALFORMED) {
  test(`a malformed setting is refused without the password in it: ${why}`, async (t) => {
    const directory = tempDir(t);
    const users = join(directory, 'users');
    const isIssuer = flags[0] === '--oidc-issuer';
    if (isIssuer) await addUser(users, ['ci', '--claims', 'a=b', '--scopes', 'cache-read']);
    const more = isIssuer ? ['--auth-file', users, '--oidc-audience', 'astera'] : [];
    const args = ['serve', '--addr', '127.0.0.1:0', '--db', join(directory, 'a.db'), ...flags, ...more];
    const { code, stderr } = await runAstera(args);
    assert.equal(code, 2, stderr);
    assert.match(stderr, /^astera: [^\n]+\n$/);
    assertNone(new Map([['the error', stderr]]), { UPSTREAM, GONE, VULNDB, BUCKET });
  });
}
