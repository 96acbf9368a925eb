// Goal: credentials are Git's own, from wherever Git has them; a refusal says whose, why, and which setting mends it; no
// credential is shown, nothing is asked on a terminal, and a wrong one is not tried again and again.
// Method: a real sshd, and `git http-backend` behind Basic auth, both on loopback.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { after, before, type TestContext, test } from 'node:test';
import { Forbidden } from '../../src/core/errors.ts';
import { makeKey, Sshd } from '../support/sshd.ts';
import { tempDir } from '../support/temp-dir.ts';
import { GitHttpServer } from './git-http-server.ts';
import { gitRig } from './git-rig.ts';
import { makeRepository } from './repository-maker.ts';

const MODULE = 'corp.example/team/lib';
const LIST = `${MODULE}/@v/list`;
const VERSIONS = 'v1.0.0\nv1.1.0\n';
const SECRET = 's3cret-p4ss';
const WRONG = 'wr0ng-p4ss';

const shared = tempDir({ after });
const root = join(shared, 'served');
/** Logins that came, right or wrong. */
let logins: string[] = [];
/** Command lines of all processes while a request was answered. */
let commands = '';
let http: GitHttpServer;
const hasSshd = existsSync('/usr/sbin/sshd');
let sshd: Sshd | undefined;
let key = '';
let otherKey = '';

before(async () => {
  for (const name of ['lib', 'other', 'third', 'fourth']) {
    const files = { 'go.mod': `module corp.example/team/${name}\n`, 'p.go': 'package p\n' };
    makeRepository(join(root, 'team', name), [{ files, tags: ['v1.0.0', 'v1.1.0'] }]);
  }
  http = await GitHttpServer.start({ root, isAllowed });
  if (!hasSshd) return;
  key = makeKey(join(shared, 'key'));
  otherKey = makeKey(join(shared, 'other'));
  sshd = await Sshd.start(shared, [key]);
});
after(() => {
  http.stop();
  sshd?.stop();
});

function isAllowed({ headers: { authorization } }: IncomingMessage): boolean {
  commands += commandLines();
  if (authorization === undefined) return false;
  const login = Buffer.from(authorization.replace(/^Basic /, ''), 'base64').toString();
  logins.push(login);
  return login === `me:${SECRET}`;
}

function commandLines(): string {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return pids.map((pid) => readOr(`/proc/${pid}/cmdline`)).join('\n');
}

function readOr(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return ''; // It has ended.
  }
}

type Write = (home: string, password: string) => void;

const places: { name: string; write: Write }[] = [
  {
    name: '~/.netrc',
    write: (home, password) =>
      writeFileSync(join(home, '.netrc'), `machine 127.0.0.1\nlogin me\npassword ${password}\n`),
  },
  {
    name: 'a credential helper',
    write: (home, password) => {
      const store = join(home, 'store');
      writeFileSync(store, `${http.url.replace('//', `//me:${password}@`)}\n`);
      writeFileSync(join(home, '.gitconfig'), `${led()}[credential]\n\thelper = store --file ${store}\n`);
    },
  },
  {
    name: 'http.extraHeader',
    write: (home, password) => {
      const header = `Authorization: Basic ${Buffer.from(`me:${password}`).toString('base64')}`;
      writeFileSync(join(home, '.gitconfig'), `${led()}[http]\n\textraHeader = "${header}"\n`);
    },
  },
];

/** `insteadOf` of the user's own settings leads the name to the server. */
function led(): string {
  return `[url "${http.url}/"]\n\tinsteadOf = https://corp.example/\n`;
}

for (const { name, write } of places) {
  test(`Basic auth by ${name}: right, then wrong, then mended`, async (t) => {
    const { home, rig } = httpWorld(t);
    write(home, SECRET);
    const right = rig();
    assert.equal(await right.text(LIST), VERSIONS);
    const info = await right.text(`${MODULE}/@v/v1.0.0.info`);
    assert.equal(JSON.parse(info).Origin.URL, 'https://corp.example/team/lib');

    write(home, WRONG);
    const wrong = rig();
    logins = [];
    const refusal = await refused(wrong.text(LIST));
    assert.match(refusal, /^cannot read repository https:\/\/corp\.example\/team\/lib: .*~\/\.netrc/);
    const tries = logins.length;
    assert.ok(tries > 0 && logins.every((login) => login === `me:${WRONG}`), logins.join());
    assert.match(await refused(wrong.text(LIST)), /not asked again for \d+ s, or until SIGHUP$/);
    assert.equal(logins.length, tries);

    write(home, SECRET);
    wrong.retry();
    assert.equal(await wrong.text(LIST), VERSIONS);
    assert.match(commands, /remote-http/);
    for (const text of [info, refusal, ...wrong.warnings, commands]) assertNoSecret(text);
  });
}

test('without a login the way out is named, and nothing is counted', async (t) => {
  const { home, rig } = httpWorld(t);
  const bare = rig();
  logins = [];
  for (let round = 0; round < 5; round++)
    assert.match(await refused(bare.text(LIST)), /wants a login, or another one: put it into ~\/\.netrc/);
  assert.deepEqual(logins, []);
  places[0]?.write(home, SECRET);
  assert.equal(await bare.text(LIST), VERSIONS);
});

test('forty clients and four repositories with a wrong login are three tries', async (t) => {
  const { home, rig } = httpWorld(t);
  // A helper whose entry stays, as git removes a wrong one from its store.
  const helper = `!f() { echo username=me; echo password=${WRONG}; }; f`;
  writeFileSync(join(home, '.gitconfig'), `${led()}[credential]\n\thelper = "${helper}"\n`);
  const wrong = rig();
  logins = [];
  const names = ['lib', 'other', 'third', 'fourth'];
  const asks = Array.from({ length: 40 }, (_, at) => `corp.example/team/${names[at % 4]}/@v/list`);
  const all = await Promise.all(asks.map((path) => refused(wrong.text(path))));
  assert.equal(logins.length, 3);
  assert.ok(all.some((text) => /its server refused 3 logins: .*not asked again for \d+ s/.test(text)));
});

test("a password in Git's own settings is shown nowhere", async (t) => {
  const { home, rig } = httpWorld(t);
  const url = http.url.replace('//', `//me:${WRONG}@`);
  writeFileSync(join(home, '.gitconfig'), `[url "${url}/"]\n\tinsteadOf = https://corp.example/\n`);
  assertNoSecret(await refused(rig().text(LIST)));
  writeFileSync(
    join(home, '.gitconfig'),
    readFileSync(join(home, '.gitconfig'), 'utf8').replace(WRONG, SECRET),
  );
  assertNoSecret(await rig().text(`${MODULE}/@v/v1.0.0.info`));
});

/** Lines of the ssh client's own settings, `known_hosts`, and the agent's keys. */
type SshRow = {
  readonly why: string;
  readonly identity?: () => string;
  readonly known?: () => string;
  readonly agent?: () => string;
  readonly refusal?: RegExp;
};

const sshRows: SshRow[] = [
  { why: 'the right key', identity: () => key },
  { why: 'the right key in an agent', agent: () => key },
  {
    why: 'a wrong key',
    identity: () => otherKey,
    refusal: /Permission denied \(publickey.*; give the user .* an ssh key/,
  },
  {
    why: 'a key file that is not there',
    identity: () => join(shared, 'none'),
    refusal: /Permission denied \(publickey/,
  },
  { why: 'no key', refusal: /Permission denied \(publickey.*SSH_AUTH_SOCK/ },
  { why: 'a wrong key in an agent', agent: () => otherKey, refusal: /Permission denied \(publickey/ },
  {
    why: 'a host key that is not known',
    identity: () => key,
    known: () => '',
    refusal: /Host key verification failed.*known_hosts.*ssh-keyscan/,
  },
  {
    why: 'a host key that has changed',
    identity: () => key,
    known: () => `[127.0.0.1]:${sshd?.port} ${readFileSync(`${otherKey}.pub`, 'utf8')}`,
    refusal: /HOST IDENTIFICATION HAS CHANGED.*ssh-keygen -R/,
  },
];

for (const { why, identity, known, agent, refusal } of sshRows) {
  test(`ssh: ${why}`, { timeout: 60_000, skip: !hasSshd }, async (t) => {
    const home = tempDir(t);
    const knownHosts = join(home, 'known');
    writeFileSync(knownHosts, known?.() ?? sshd?.knownHost ?? '');
    const config = [
      `UserKnownHostsFile ${knownHosts}`,
      `IdentityFile ${identity?.() ?? '/dev/null'}`,
      ...(agent === undefined ? ['IdentityAgent none'] : []),
    ];
    writeFileSync(join(home, 'ssh_config'), config.join('\n'));
    writeFileSync(join(home, '.gitconfig'), `[core]\n\tsshCommand = ssh -F ${join(home, 'ssh_config')}\n`);
    const rig = gitRig({
      home,
      mappings: `corp.example/*=ssh://${userInfo().username}@127.0.0.1:${sshd?.port}${root}/*`,
      environment: agent === undefined ? {} : startAgent(t, agent()),
    });
    if (refusal === undefined) {
      assert.equal(await rig.text(LIST), VERSIONS);
      assert.ok((await rig.zip(`${MODULE}/@v/v1.0.0.zip`)).length > 100);
    } else assert.match(await refused(rig.text(LIST)), refusal);
  });
}

function startAgent(t: TestContext, identity: string): Record<string, string> {
  const text = execFileSync('ssh-agent', ['-s', '-a', join(tempDir(t), 'agent')]).toString();
  const [, socket = ''] = /SSH_AUTH_SOCK=([^;]+)/.exec(text) ?? [];
  const [, pid] = /SSH_AGENT_PID=(\d+)/.exec(text) ?? [];
  t.after(() => process.kill(Number(pid)));
  execFileSync('ssh-add', ['-q', identity], { env: { PATH: process.env.PATH, SSH_AUTH_SOCK: socket } });
  return { SSH_AUTH_SOCK: socket };
}

function httpWorld(t: TestContext) {
  const home = tempDir(t);
  writeFileSync(join(home, '.gitconfig'), led());
  const mappings = 'corp.example/team/*=https://corp.example/team/*';
  return { home, rig: () => gitRig({ home, mappings }) };
}

/** The message of a refusal: one line that the `go` command shows as it is. */
async function refused(asked: Promise<unknown>): Promise<string> {
  const error = await asked.then(
    () => assert.fail('it must be refused'),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof Forbidden, String(error));
  assert.doesNotMatch(error.message, /\n/);
  assertNoSecret(error.message);
  return error.message;
}

function assertNoSecret(text: string): void {
  const encoded = [SECRET, WRONG].map((password) => Buffer.from(`me:${password}`).toString('base64'));
  for (const secret of [SECRET, WRONG, ...encoded]) assert.ok(!text.includes(secret), text);
}
