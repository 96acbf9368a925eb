// Goal: equal commands have equal keys on all machines, and what changes their actions changes their key.
// Method: a module in a temporary directory; environments and command lines as `go` has them.

import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { nameSession, parentArgv } from '../../src/plugin/session-name.ts';
import { tempDir } from '../support/temp-dir.ts';

const ENV = { GOOS: 'linux', GOARCH: 'amd64', GOVERSION: 'go1.26.8', GOFLAGS: '-trimpath' };

function moduleDirectory(t: TestContext, module = 'example.com/app'): string {
  const directory = tempDir(t);
  mkdirSync(join(directory, 'lib'));
  writeFileSync(join(directory, 'go.mod'), `// A comment.\nmodule ${module} // Another.\n\ngo 1.24\n`);
  return directory;
}

function named(directory: string, command: string, env: Readonly<Record<string, string>> = {}) {
  return nameSession({ env: { ...ENV, ...env }, directory, argv: command.split(' ') });
}

test('one command in two checkouts has one key, which the label tells of', (t) => {
  const one = named(moduleDirectory(t), 'go build ./...');
  assert.deepEqual(named(moduleDirectory(t), 'go build ./...'), one);
  assert.equal(one.label, 'go build linux/amd64 go1.26.8 GOFLAGS=trimpath');
});

test('a label tells settings, and neither modules, paths nor the values of flags', (t) => {
  const env = {
    GOFLAGS: '-trimpath -ldflags=-X=main.key=secret',
    CGO_ENABLED: '1',
    GOAMD64: 'v3',
    GOROOT: '/home/alice/go',
    GOMODCACHE: '/home/alice/pkg/mod',
  };
  const { label } = named(moduleDirectory(t), 'go build .', env);
  assert.match(
    label,
    /^go build linux\/amd64 go1\.26\.8 GOROOT#\w{8} GOMODCACHE#\w{8} CGO_ENABLED=1 GOAMD64=v3 GOFLAGS=ldflags,trimpath$/,
  );
});

const others: {
  why: string;
  command: string;
  env?: Record<string, string>;
  same: 'key' | 'project' | 'none';
}[] = [
  { why: 'where the program goes', command: 'go build -o /tmp/1 ./...', same: 'key' },
  { why: 'how much it says', command: 'go build -v -x ./...', same: 'key' },
  { why: 'how many at a time', command: 'go build -p 4 ./...', same: 'key' },
  { why: 'another package', command: 'go build ./lib', same: 'project' },
  { why: 'another command', command: 'go test ./...', same: 'none' },
  { why: 'another flag', command: 'go build -race ./...', same: 'none' },
  { why: 'another GOOS', command: 'go build ./...', env: { GOOS: 'windows' }, same: 'none' },
  { why: 'another Go', command: 'go build ./...', env: { GOVERSION: 'go1.27.0' }, same: 'none' },
];
for (const { why, command, env = {}, same } of others) {
  test(`what differs tells commands apart: ${why}`, (t) => {
    const directory = moduleDirectory(t);
    const one = named(directory, 'go build ./...');
    const other = named(directory, command, env);
    assert.equal(other.key === one.key, same === 'key');
    assert.equal(other.project === one.project, same !== 'none');
  });
}

test('the directory inside of a module and the module itself are told apart', (t) => {
  const directory = moduleDirectory(t);
  const one = named(directory, 'go build .');
  const inside = named(join(directory, 'lib'), 'go build .');
  assert.deepEqual([inside.key === one.key, inside.project === one.project], [false, true]);
  assert.notEqual(named(moduleDirectory(t, 'example.com/other'), 'go build .').project, one.project);
});

test('without a module, and without a command line to be seen, there is a name too', (t) => {
  const { key, label } = nameSession({ env: {}, directory: tempDir(t), argv: [] });
  assert.match(key, /^[0-9a-f]{64}$/);
  assert.equal(label, 'go / GOFLAGS=');
});

test('only a go command above counts as one', () => {
  assert.deepEqual(parentArgv(process.pid), []); // node
  assert.deepEqual(parentArgv(2 ** 22 + 1), []); // No process has that number.
});
