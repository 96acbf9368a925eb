// Goal: for awkward repositories that Go ships for its own tests, all answers are those of the go command in direct mode.
// Method: Go's own server on loopback, compiled and started here; each version, branch and some commits of each repository.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { compareWithGo } from '../git/compare.ts';
import { gitRig } from '../git/git-rig.ts';
import { GoDirect, writeInsteadOf } from '../git/go-direct.ts';
import { tempDir } from '../support/temp-dir.ts';

const root = execFileSync('go', ['env', 'GOROOT']).toString().trim();
// The ones with most kinds of refs: all of them would take minutes.
const names = ['commit-after-tag', 'empty-v2-without-v1', 'gitrepo-sha256', 'gitrepo1'];
const home = tempDir({ after });
let url = '';
let servers: number | undefined;
// Not in `before`: what a hook registers ends with the hook.
after(() => servers !== undefined && process.kill(-servers, 'SIGKILL'));

before(async () => {
  // Without a package's name, go passes the server's words on as they come.
  const args = ['test', '-args', '-host=127.0.0.1', '-port=0'];
  const cwd = join(root, 'src/cmd/go/internal/vcweb/vcstest');
  const server = spawn('go', args, { cwd, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  servers = server.pid;
  server.stderr.resume();
  url = await new Promise((resolve) => {
    // Read to the end: a closed pipe would end the server.
    const lines = createInterface({ input: server.stdout });
    lines.on('line', (line) => {
      const port = /serving on http:\/\/127\.0\.0\.1:(\d+)\//.exec(line)?.[1];
      if (port !== undefined) resolve(`http://127.0.0.1:${port}`);
    });
    lines.on('close', () => resolve(''));
  });
  assert.notEqual(url, '', "Go's server did not start");
  writeInsteadOf(home, { 'https://vcs-test.golang.org/': `${url}/` });
});

for (const name of names) {
  test(`as the go command: ${name}`, async (t) => {
    const go = new GoDirect(home);
    go.forget();
    const rig = gitRig({ home });
    const { tags, others } = refsOf(name);
    assert.ok(others.length > 2, 'it has refs');
    for (const [below, queries] of modulesIn(tags, others)) {
      const asks = queries.map((query) => ({ query, name: query }));
      await compareWithGo(t, {
        go,
        rig,
        module: `vcs-test.golang.org/git/${name}.git${below}`,
        queries: asks,
      });
    }
  });
}

const SHORT = /^v\d+(?:\.\d+)?$/;

/** The tags, and the branches and commits that a query can name. */
function refsOf(name: string): { tags: string[]; others: string[] } {
  const listed = spawnGit(['ls-remote', '-q', `${url}/git/${name}`]);
  const lines = listed.split('\n').filter((line) => line !== '' && !line.endsWith('^{}'));
  const refs = lines.map((line) => line.split('\t'));
  const named = (prefix: string) =>
    refs.flatMap(([, ref = '']) => (ref.startsWith(prefix) ? [ref.slice(prefix.length)] : []));
  const hashes = [...new Set(refs.map(([hash = '']) => hash))].slice(0, 3);
  // A short version is for the go command to look up in the list.
  const branches = named('refs/heads/').filter((branch) => !branch.includes('/') && !SHORT.test(branch));
  return {
    tags: named('refs/tags/'),
    others: [...branches, ...hashes, hashes[0]?.slice(0, 9) ?? 'HEAD', 'latest'],
  };
}

function spawnGit(args: readonly string[]): string {
  try {
    return execFileSync('git', args, { stdio: ['ignore', 'pipe', 'ignore'] }).toString();
  } catch {
    return '';
  }
}

/** The modules that the tags speak of, and what is asked of each. */
function modulesIn(tags: readonly string[], others: readonly string[]): Map<string, string[]> {
  const modules = new Map<string, string[]>([['', [...others]]]);
  for (const tag of tags) {
    const slash = tag.lastIndexOf('/');
    const [below, version] = [slash < 0 ? '' : `/${tag.slice(0, slash)}`, tag.slice(slash + 1)];
    const major = /^v([2-9])\./.exec(version)?.[1];
    const places = major === undefined ? [below] : [below, `${below}/v${major}`];
    if (SHORT.test(version) || /[^\w.+-]/.test(version)) continue;
    for (const place of places) modules.set(place, [...(modules.get(place) ?? others), version]);
  }
  return modules;
}
