// Goal: two checkouts of one commit have the same times, so that `go` shares the results of tests that open files; other
// contents have other times; nothing outside of the checkout and nothing untracked is touched.
// Method: real Git checkouts and the real `go test`, one after the other at one path as on two machines.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  mkdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { runAstera } from '../support/astera.ts';
import { tempDir } from '../support/temp-dir.ts';

const TEST = `package app

import (
	"os"
	"testing"
)

func TestFile(t *testing.T) {
	for _, name := range []string{"testdata/a.txt", "testdata/sub/b.txt"} {
		if _, err := os.ReadFile(name); err != nil {
			t.Fatal(err)
		}
	}
	if entries, err := os.ReadDir("testdata"); err != nil || len(entries) != 2 {
		t.Fatal(entries, err)
	}
}
`;

function git(directory: string, ...args: readonly string[]): string {
  const identity = ['-c', 'user.name=a', '-c', 'user.email=a@corp.example', '-c', 'commit.gpgsign=false'];
  return execFileSync('git', ['-C', directory, ...identity, ...args], { encoding: 'utf8', stdio: 'pipe' });
}

function repository(t: TestContext): string {
  const directory = join(tempDir(t), 'repository');
  mkdirSync(join(directory, 'testdata/sub'), { recursive: true });
  writeFileSync(join(directory, 'go.mod'), 'module example.com/app\n\ngo 1.24\n');
  writeFileSync(join(directory, 'app_test.go'), TEST);
  writeFileSync(join(directory, 'testdata/a.txt'), 'a\n');
  writeFileSync(join(directory, 'testdata/sub/b.txt'), 'b\n');
  git(directory, 'init', '-q');
  git(directory, 'add', '.');
  git(directory, 'commit', '-qm', 'x');
  return directory;
}

test('a test that opens files is shared between two checkouts', { timeout: 120_000 }, async (t) => {
  const origin = repository(t);
  const [checkout, cache] = [join(tempDir(t), 'app'), tempDir(t)];
  const { PATH, HOME } = process.env;
  const env = {
    PATH,
    HOME,
    GOENV: 'off',
    GOCACHE: cache,
    GOFLAGS: '-vet=off',
    CGO_ENABLED: '0',
    GOPROXY: 'off',
  };
  const goTest = () =>
    execFileSync('go', ['test', './...'], { cwd: checkout, env, encoding: 'utf8', stdio: 'pipe' });
  const clone = (atS: number) => {
    rmSync(checkout, { recursive: true, force: true });
    git(origin, 'clone', '-q', origin, checkout);
    // As long ago as a real one may be; at another time than the other.
    for (const name of ['a.txt', 'sub/b.txt', 'sub', '.'])
      utimesSync(join(checkout, 'testdata', name), atS, atS);
  };
  clone(1e9);
  assert.doesNotMatch(goTest(), /\(cached\)/);
  clone(1.1e9);
  assert.doesNotMatch(goTest(), /\(cached\)/, 'without the command nothing is shared');
  for (const atS of [1.2e9, 1.3e9]) {
    clone(atS);
    const { code, stdout, stderr } = await runAstera(['mtimes', checkout]);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^set the times of 4 files and 3 directories from their contents\n$/);
    assert.equal(/\(cached\)/.test(goTest()), atS === 1.3e9);
  }
  assert.equal(git(checkout, 'status', '--porcelain'), '');
  writeFileSync(join(checkout, 'testdata/a.txt'), 'A\n');
  const before = statSync(join(checkout, 'testdata/sub/b.txt')).mtimeMs;
  const { code } = await runAstera(['mtimes', join(checkout, 'testdata')]);
  assert.equal(code, 0, 'from a directory below, and with a file that is changed');
  assert.equal(statSync(join(checkout, 'testdata/sub/b.txt')).mtimeMs, before);
  assert.doesNotMatch(goTest(), /\(cached\)/, 'another content of the same size');
});

test('what Git does not track, what is behind a link and what is gone is left alone', async (t) => {
  const checkout = repository(t);
  const outside = tempDir(t);
  mkdirSync(join(outside, 'sub'));
  const others = [join(outside, 'a.txt'), join(outside, 'sub/b.txt'), join(checkout, 'untracked.txt')];
  for (const path of others) writeFileSync(path, 'x');
  rmSync(join(checkout, 'testdata/a.txt'));
  symlinkSync(join(outside, 'a.txt'), join(checkout, 'testdata/a.txt'));
  renameSync(join(checkout, 'testdata/sub'), join(outside, 'moved'));
  symlinkSync(join(outside, 'sub'), join(checkout, 'testdata/sub'));
  rmSync(join(checkout, 'app_test.go'));
  execFileSync('mkfifo', [join(checkout, 'app_test.go')]);
  symlinkSync('/etc/passwd', join(checkout, 'link'));
  git(checkout, 'add', 'link');
  const all = [...others, join(outside, 'sub'), outside, '/etc/passwd'];
  const before = all.map((path) => statSync(path).mtimeMs);
  const { code, stdout, stderr } = await runAstera(['mtimes', checkout]);
  assert.equal(code, 0, stderr);
  assert.match(
    stdout,
    /^set the times of 1 files and 2 directories .*; 3 tracked files are not there, or behind a link\n$/,
  );
  assert.deepEqual(
    all.map((path) => statSync(path).mtimeMs),
    before,
  );
});

test('a directory that is no checkout is refused in one line', async (t) => {
  const directory = tempDir(t);
  chmodSync(directory, 0o755);
  const { code, stderr } = await runAstera(['mtimes', directory]);
  assert.equal(code, 1);
  assert.match(stderr, /^astera: cannot read the Git checkout in ".*": fatal: not a git repository.*\n$/);
});
