// Goal: git runs in a clean environment, within bounds, and nothing of it is left when it ends; its words hold no credential.
// Method: the real git, with aliases that run a shell where a process must hang or write without end.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { GitCommand, GitFailed } from '../../src/git/git-command.ts';
import { gitFailure } from '../../src/git/git-failure.ts';
import { oneLine, withoutCredentials } from '../../src/git/words.ts';
import { tempDir } from '../support/temp-dir.ts';

const { PATH } = process.env;

function git(environment: Record<string, string> = {}): GitCommand {
  return new GitCommand({ environment: { PATH, ...environment } });
}

/** An alias that runs `shell`. */
function alias(shell: string) {
  return { settings: [`alias.run=!${shell}`] };
}

test('git sees no variable of the server but those it needs, and can ask nobody', async () => {
  const command = git({ GIT_DIR: '/nowhere', GIT_TRACE: '1', SSH_AUTH_SOCK: '/agent', TOKEN: 'x' });
  const text = (await command.run(['run'], alias('env'))).toString();
  assert.doesNotMatch(text, /^(GIT_DIR|GIT_TRACE|TOKEN)=/m);
  assert.match(text, /^SSH_AUTH_SOCK=\/agent$/m);
  assert.match(text, /^GIT_TERMINAL_PROMPT=0$/m);
  assert.match(text, /^GIT_ASKPASS=$/m);
  assert.match(text, /^GIT_SSH_COMMAND=ssh -o BatchMode=yes/m);
  assert.match(text, /^GIT_ALLOW_PROTOCOL=none$/m);
});

test("the server's own ssh command is used where it has one", async () => {
  const text = (await git({ GIT_SSH_COMMAND: 'ssh -i key' }).run(['run'], alias('env'))).toString();
  assert.match(text, /^GIT_SSH_COMMAND=ssh -i key$/m);
});

test('a process that takes too long ends with all that it started', async (t) => {
  const pids = join(tempDir(t), 'pids');
  const late = git().run(['run'], { ...alias(`sleep 600 & echo $! > ${pids}; wait`), timeoutMs: 300 });
  await assert.rejects(late, (error) => error instanceof GitFailed && error.reason === 'timeout');
  await gone(readFileSync(pids, 'utf8'));
});

test('a process whose output nobody reads on ends, and its place is free again', async (t) => {
  const pids = join(tempDir(t), 'pids');
  const command = new GitCommand({ environment: { PATH }, processesMax: 1 });
  for await (const piece of command.stream(['run'], alias(`echo $$ > ${pids}; yes`))) {
    assert.ok(piece.length > 0);
    break;
  }
  await gone(readFileSync(pids, 'utf8'));
  assert.match((await command.run(['--version'])).toString(), /^git version/);
});

test('an aborted request ends its process', async (t) => {
  const pids = join(tempDir(t), 'pids');
  const abort = new AbortController();
  const stream = git().stream(['run'], {
    ...alias(`echo $$ > ${pids}; echo; sleep 600`),
    signal: abort.signal,
  });
  await stream.next();
  abort.abort(new Error('gone'));
  await assert.rejects(stream.next(), /gone/);
  await gone(readFileSync(pids, 'utf8'));
});

/** Waits for the end of a killed process: the kernel takes a moment. A process that lives on runs into the limit. */
async function gone(pid: string): Promise<void> {
  // A killed process may be waiting for init to take note of it.
  const stat = `/proc/${pid.trim()}/stat`;
  const state = () => (existsSync(stat) ? readFileSync(stat, 'utf8').replace(/.*\) /, '')[0] : 'X');
  for (const deadlineMs = Date.now() + 20_000; !/[XZ]/.test(state() ?? ''); ) {
    assert.ok(Date.now() < deadlineMs, `process ${pid} lives on: ${state()}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

test('output is bounded', async () => {
  const long = git().run(['run'], { ...alias('yes'), bytesMax: 1000 });
  await assert.rejects(long, (error) => error instanceof GitFailed && error.reason === 'too-long');
});

test('of a long error the beginning and the end are kept', async () => {
  const shell = 'echo first >&2; head -c 1000000 /dev/zero | tr "\\0" x >&2; echo last >&2; exit 3';
  const failed = await git()
    .run(['run'], alias(shell))
    .catch((error: unknown) => error);
  assert.ok(failed instanceof GitFailed);
  assert.equal(failed.exitCode, 3);
  assert.match(failed.words, /^first/);
  assert.match(failed.words, /last\n$/);
  assert.ok(failed.words.length < 10_000);
});

test('a process without a file descriptor for its pipes is a failed one, and ends nothing', () => {
  const script = `
    import { closeSync, openSync } from 'node:fs';
    import { GitCommand } from ${JSON.stringify(new URL('../../src/git/git-command.ts', import.meta.url).href)};
    const git = new GitCommand({ environment: process.env });
    const taken = [];
    try { for (;;) taken.push(openSync('/dev/null')); } catch {}
    const why = await git.run(['--version']).catch((error) => error.name + ': ' + error.message);
    for (const descriptor of taken) closeSync(descriptor);
    console.log(why, (await git.run(['--version'])).toString());`;
  const node = [
    process.execPath,
    '--disable-warning=ExperimentalWarning',
    '--input-type=module',
    '-e',
    script,
  ];
  const { stdout, stderr, status } = spawnSync('sh', ['-c', 'ulimit -n 200; exec "$@"', 'sh', ...node]);
  assert.match(
    stdout.toString(),
    /^GitFailed: cannot start git: spawn git E[MN]FILE git version/,
    stderr.toString(),
  );
  assert.equal(status, 0);
});

test('no git on the server', async (t) => {
  const failed = await new GitCommand({ environment: { PATH: tempDir(t) } })
    .run(['--version'])
    .catch((e) => e);
  assert.match(String(gitFailure(failed, 'ssh://host/x')), /StoreFailed: .*install git/);
});

const refused = [
  { url: 'ext::sh -c "touch% HERE"', why: 'ext runs programs' },
  { url: 'file:///etc', why: 'file was not allowed' },
  { url: '/etc', why: 'a path is file' },
  { url: '--upload-pack=touch HERE', why: 'an option' },
  { url: '-oProxyCommand=touch HERE', why: 'an option' },
  { url: 'ssh://-oProxyCommand=touch%20HERE/x', why: 'a host that ssh takes for an option' },
];

for (const { url, why } of refused) {
  test(`a hostile URL runs nothing: ${why}`, async (t) => {
    const here = join(tempDir(t), 'made');
    const args = ['ls-remote', '-q', '--end-of-options', url.replace('HERE', here)];
    await assert.rejects(
      git().run(args, { server: { name: 'host', protocols: ['https', 'ssh'] } }),
      GitFailed,
    );
    assert.ok(!existsSync(here));
  });
}

const credentials = [
  { text: 'https://me:secret@host/x', shown: 'https://host/x' },
  { text: 'https://secret@host/x', shown: 'https://host/x' },
  { text: 'https://a@secret@host/x', shown: 'https://host/x' },
  { text: 'ssh://git@host/x', shown: 'ssh://git@host/x' },
  { text: 'ssh://git:secret@host/x', shown: 'ssh://host/x' },
  { text: 'https://host/x?private_token=secret', shown: 'https://host/x' },
  { text: 'Authorization: Basic secret', shown: 'Authorization: …' },
  { text: 'bad password: secret', shown: 'bad password: …' },
];

test('no credential is shown', () => {
  for (const { text, shown } of credentials) assert.equal(withoutCredentials(text), shown);
  assert.equal(oneLine('a\n\u001b[2Jb\u202e'), 'a [2Jb');
  assert.equal(oneLine('x'.repeat(1000)).length, 300);
});

const failures: { words: string; kind: string }[] = [
  { words: "fatal: could not read Username for 'https://h': terminal prompts disabled", kind: 'forbidden' },
  {
    words: "remote: HTTP Basic: Access denied\nfatal: Authentication failed for 'https://h/x/'",
    kind: 'forbidden',
  },
  { words: "fatal: unable to access 'https://h/': The requested URL returned error: 403", kind: 'forbidden' },
  {
    words: 'git@h: Permission denied (publickey).\nfatal: Could not read from remote repository.',
    kind: 'forbidden',
  },
  {
    words: 'Host key verification failed.\nfatal: Could not read from remote repository.',
    kind: 'forbidden',
  },
  {
    words: "fatal: unable to access 'https://h/': SSL certificate problem: self-signed certificate",
    kind: 'forbidden',
  },
  // Git 2.46 and later, with credential.interactive=false.
  { words: 'fatal: unable to get password from user', kind: 'forbidden' },
  {
    words:
      'no such identity: /k: No such file or directory\ngit@h: Permission denied (publickey).\nfatal: Could not read from remote repository.',
    kind: 'forbidden',
  },
  {
    words: 'Received disconnect from 10.0.0.1 port 22:2: Too many authentication failures',
    kind: 'forbidden',
  },
  { words: "fatal: transport 'file' not allowed", kind: 'forbidden' },
  { words: "remote: Repository not found.\nfatal: repository 'https://h/x/' not found", kind: 'not-found' },
  { words: "fatal: '/srv/x' does not appear to be a git repository", kind: 'not-found' },
  {
    words:
      "ERROR: The project you were looking for could not be found or you don't have permission to view it.",
    kind: 'not-found',
  },
  { words: 'FATAL: R any team DENIED by fallthru (or you mis-spelled the reponame)', kind: 'not-found' },
  { words: "fatal: unable to access 'https://h/': Could not resolve host: h", kind: 'upstream-down' },
  { words: 'ssh: connect to host h port 22: Connection refused', kind: 'upstream-down' },
  { words: "fatal: unable to access 'https://h/': Failed to connect to h port 443", kind: 'upstream-down' },
  { words: 'fatal: the remote end hung up unexpectedly\nfatal: early EOF', kind: 'upstream-down' },
  {
    words: "fatal: unable to access 'https://h/': The requested URL returned error: 502",
    kind: 'upstream-down',
  },
  { words: "fatal: unable to access 'https://h/not found/': weather", kind: 'upstream-failed' },
  { words: 'fatal: weather', kind: 'upstream-failed' },
];

for (const { words, kind } of failures) {
  test(`what git says means ${kind}: ${JSON.stringify(words).slice(0, 70)}`, () => {
    const failed = new GitFailed('x', { reason: 'exit', exitCode: 128, words, isOutside: true });
    const meant = gitFailure(failed, 'https://me:secret@h/x');
    assert.ok(meant instanceof Error && 'kind' in meant);
    assert.equal(meant.kind, kind);
    assert.match(meant.message, /^cannot read repository https:\/\/h\/x: /);
    assert.doesNotMatch(meant.message, /secret|\n/);
  });
}
