// Goal: `doctor` says what keeps a machine from sharing results, with the line that mends it, and nothing else.
// Method: the real command with the real `go` and server; each row is a machine that is wrong in one way.

import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { Astera, runAstera } from '../support/astera.ts';
import { CHECKOUT } from '../support/corpus.ts';
import { GoClient } from '../support/go.ts';
import { tempDir } from '../support/temp-dir.ts';

const directory = tempDir({ after });
const PROGRAM = join(CHECKOUT, 'dist/cacheprog.mjs');
const authFile = join(directory, 'users');
const added = await runAstera([
  'user',
  'add',
  'a',
  '--token',
  '--scopes',
  'private',
  '--auth-file',
  authFile,
]);
writeFileSync(join(directory, 'poor'), added.stdout.trim());
const astera = await Astera.start({ upstream: 'off', flags: ['--sumdb', 'off', '--auth-file', authFile] });
after(() => astera.dispose());

const old = join(directory, 'old.mjs');
copyFileSync(PROGRAM, old);
writeFileSync(old, '// older\n', { flag: 'a' });

function program(flags = '', path = PROGRAM, remote = astera.url): string {
  return `${process.execPath} ${path} --cache-dir=${join(directory, 'cache')} --remote=${remote} ${flags}`;
}

/** A machine with a HOME of its own, and so a GOMODCACHE of its own. */
function doctor(name: string, env: Readonly<Record<string, string>>) {
  const home = join(directory, name);
  mkdirSync(home, { recursive: true });
  return runAstera(['doctor'], {
    HOME: home,
    GOENV: join(home, 'env'),
    CGO_ENABLED: '0',
    GOCACHEPROG: program(),
    ...env,
  });
}

test('a machine without -trimpath is told so, with the line to set; with it, nothing is wrong', async (t) => {
  const go = await GoClient.create('off', {
    env: {
      CGO_ENABLED: '0',
      GOFLAGS: '-trimpath',
      GOCACHEPROG: `${program('--close-wait=30s --remote-timeout=20s')}`,
    },
  });
  t.after(() => go.dispose());
  writeFileSync(join(go.project, 'main.go'), 'package main\n\nfunc main() {}\n');
  const listed = await go.run('list', '-deps', '.');
  assert.equal(listed.code, 0, listed.stderr);
  const wrong = await doctor('second', {});
  assert.equal(wrong.code, 1, wrong.stderr);
  assert.match(
    wrong.stdout,
    /^- without -trimpath .*\/second\/go\/pkg\/mod.*: machines where these differ share nothing\n {4}go env -w GOFLAGS=-trimpath\n/,
  );
  const right = await doctor('second', { GOFLAGS: '-trimpath' });
  assert.deepEqual(
    [right.stdout, right.code],
    ['nothing is wrong: this machine shares its build cache\n', 0],
  );
  const other = await doctor('third', { GOFLAGS: '-trimpath -race', GOAMD64: 'v3' });
  assert.match(
    other.stdout,
    /^- other machines build with .*GOFLAGS=trimpath, this one with .*GOFLAGS=race,trimpath: they share nothing\n$/,
  );
});

const rows: { why: string; env: Readonly<Record<string, string>>; says: RegExp }[] = [
  {
    why: 'no program',
    env: { GOCACHEPROG: '' },
    says: /^- GOCACHEPROG is not set.*\n {4}go env -w GOCACHEPROG="node .*"\n$/,
  },
  { why: 'no server', env: { GOCACHEPROG: 'node x.mjs' }, says: /^- GOCACHEPROG names no server/ },
  {
    why: 'a server that is down',
    env: { GOCACHEPROG: program('', PROGRAM, 'http://127.0.0.1:1') },
    says: /^- the server http:\/\/127.0.0.1:1 does not answer: .*\n$/,
  },
  {
    why: 'the wrong place',
    env: { GOCACHEPROG: program('', PROGRAM, `${astera.url}/x`) },
    says: /^- http.*\/x is no build cache of this version: status 4/,
  },
  {
    why: 'a token without the scope',
    env: { GOCACHEPROG: program(`--token-file=${join(directory, 'poor')}`) },
    says: /^- this machine may not write.*403.*--token-file\n$/,
  },
  {
    why: 'an older program',
    env: { GOCACHEPROG: program('', old) },
    says: /^- .*old\.mjs is of another version than the server\n {4}curl -o .*old\.mjs http.*\/cacheprog\.mjs\n$/,
  },
];
for (const { why, env, says } of rows) {
  test(`told: ${why}`, async () => {
    const { code, stdout, stderr } = await doctor('second', { GOFLAGS: '-trimpath', ...env });
    assert.match(stdout, says);
    assert.equal(code, 1, stderr);
  });
}

test('no login and no token of the URL is shown, and both are sent', async () => {
  const token = added.stdout.trim();
  const { host } = new URL(astera.url);
  for (const [remote, status] of [
    [`http://name:${token}@${host}`, /\(status 403\)/],
    [`http://${host}/token/${token}`, /\(status 403\)/],
    [`http://name:${token}@${host}/x`, /is no build cache/],
    [`http://name:${token}@127.0.0.1:1/token/${token}/`, /does not answer/],
  ] as const) {
    const env = { GOFLAGS: '-trimpath', GOCACHEPROG: program('', old, remote) };
    const { stdout, stderr } = await doctor('second', env);
    assert.match(stdout, status, remote);
    assert.ok(!`${stdout}${stderr}`.includes(token), remote);
  }
});

test('flags that are set already stay in the line to set', async () => {
  const { stdout } = await doctor('second', { GOFLAGS: '-mod=mod -ldflags=-s' });
  assert.match(stdout, /\n {4}export GOFLAGS='-mod=mod -ldflags=-s -trimpath'\n/);
});
