// Goal: `astera user` writes what the server reads, and its mistakes change nothing.
// Method: the real command on files in a temporary directory; the server's own reader on what it wrote.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { parseAccounts } from '../../src/access/accounts.ts';
import { hashToken, isPassword } from '../../src/access/secret.ts';
import { ASTERA, runAstera } from '../support/astera.ts';
import { AsteraCommand } from '../support/astera-command.ts';
import { tempDir } from '../support/temp-dir.ts';

function rig(t: TestContext) {
  const directory = tempDir(t);
  const file = join(directory, 'users');
  const run = (words: string, stdin?: string) =>
    new AsteraCommand(
      ['user', ...words.split(' '), '--auth-file', file],
      stdin === undefined ? {} : { stdin },
    ).exited;
  return { directory, file, run, read: () => parseAccounts(readFileSync(file, 'utf8')) };
}

test('a user and a token are added, changed, listed and removed', async (t) => {
  const { file, run, read } = rig(t);
  assert.equal((await run('add alice', 'first\n')).code, 0);
  assert.equal(statSync(file).mode & 0o777, 0o600);
  chmodSync(file, 0o640);
  assert.equal((await run('add alice --scopes private,cache-write', 'second password \nmore\n')).code, 0);
  const [alice, ...none] = read();
  assert.ok(alice?.kind === 'user' && none.length === 0);
  assert.equal(await isPassword('second password ', alice.password), true, 'one line, as it is');
  assert.equal(statSync(file).mode & 0o777, 0o640, 'a group that may read it still may');

  const made = await run('add ci --token --expires 24h --scopes read');
  const token = made.stdout.trim();
  assert.match(made.stderr, /SIGHUP/);
  assert.match(token, /^astera_[A-Za-z0-9_-]{43}$/);
  const ci = read().find(({ name }) => name === 'ci');
  assert.ok(ci?.kind === 'token');
  assert.equal(ci.sha256, hashToken(token));
  assert.ok(Math.abs(ci.expiresMs - Date.now() - 24 * 3_600_000) < 3_600_000);
  assert.equal((await run('add keeper --token')).code, 0);

  const { stdout } = await run('list');
  assert.match(stdout, /^user alice private,cache-write\ntoken ci read \d{4}-\S+Z\ntoken keeper private\n$/);
  assert.equal((await run('remove alice')).code, 0);
  assert.deepEqual(
    read().map(({ name }) => name),
    ['ci', 'keeper'],
  );
});

test('on a terminal the password is asked for and not shown', async (t) => {
  const { file, read } = rig(t);
  const command = `${ASTERA} user add bob --auth-file ${file}`;
  const terminal = spawn('script', ['-qfec', command, '/dev/null'], { stdio: ['pipe', 'pipe', 'inherit'] });
  let shown = '';
  for await (const text of terminal.stdout.setEncoding('utf8')) {
    const isAsked = shown.includes('password of bob: ');
    shown += text;
    if (!isAsked && shown.includes('password of bob: ')) terminal.stdin.write('hidden-wordx\x7f\r');
  }
  assert.equal(terminal.exitCode ?? (await once(terminal, 'exit'))[0], 0, shown);
  assert.doesNotMatch(shown, /hidden/);
  const [bob] = read();
  assert.ok(bob?.kind === 'user');
  assert.equal(await isPassword('hidden-word', bob.password), true);
});

const wrong: { words: string; stdin?: string; says: RegExp }[] = [
  { words: 'add', says: /expected add NAME, remove NAME or list/ },
  { words: 'add a b', says: /expected add NAME/ },
  { words: 'list a', says: /expected add NAME/ },
  { words: 'change a', says: /expected add NAME/ },
  { words: 'add a:b', stdin: 'x', says: /not a name: "a:b"/ },
  { words: 'add a', stdin: '', says: /a password has 1 to 1024 bytes/ },
  { words: 'add a', stdin: '\n', says: /a password has 1 to 1024 bytes/ },
  { words: 'add a --scopes all', stdin: 'x', says: /not a scope: "all"/ },
  { words: 'add a --expires 1h', stdin: 'x', says: /only a token expires/ },
  { words: 'add a --token --expires soon', says: /bad value for --expires: "soon"/ },
  { words: 'remove nobody', says: /no user or token is named "nobody"/ },
];

test('wrong usage is exit 2, one line, and changes nothing', async (t) => {
  const { directory, file, run } = rig(t);
  const before = `token a private sha256:${'0'.repeat(64)} never\n`;
  writeFileSync(file, before);
  for (const { words, stdin, says } of wrong) {
    const { code, stdout, stderr } = await run(words, stdin);
    assert.deepEqual([code, stdout], [2, ''], words);
    assert.match(stderr, says);
    assert.equal(stderr.trim().split('\n').length, 1, stderr);
  }
  assert.equal(readFileSync(file, 'utf8'), before);
  assert.deepEqual(readdirSync(directory), ['users']);
});

test('a malformed file is neither served nor written, and not quoted', async (t) => {
  const { file, run } = rig(t);
  writeFileSync(file, 'alice:secret\n');
  const served = ['serve', '--addr', '127.0.0.1:0', '--db', `${file}.db`, '--offline', '--auth-file', file];
  for (const { code, stderr } of [await run('add bob', 'x'), await run('list'), await runAstera(served)]) {
    assert.equal(code, 2);
    assert.match(stderr, /cannot read --auth-file ".*users": line 1 is neither a user, a token nor a rule/);
    assert.doesNotMatch(stderr, /secret/);
  }
  const { code, stderr } = await runAstera(['user', 'list']);
  assert.deepEqual([code, stderr], [2, 'astera: no file of users: set --auth-file\n']);
  assert.equal((await runAstera(['user', 'list', '--auth-file', `${file}.none`])).code, 2);
});
