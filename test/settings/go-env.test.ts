// Goal: what was set with `go env -w` is found as `go` itself finds it.
// Method: the real `go env -w` writes the file, and `go env` says what it holds; then files that only a
// hand can have written.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { loadConfig } from '../../src/settings/config.ts';
import { GoEnv } from '../../src/settings/go-env.ts';

const dir = mkdtempSync(join(tmpdir(), 'astera-go-env-'));
after(() => rmSync(dir, { recursive: true, force: true }));

/** Otherwise `go` leaves a process behind that counts in there for a while. */
function stopCounting(config: string): void {
  mkdirSync(join(config, 'go/telemetry'), { recursive: true });
  writeFileSync(join(config, 'go/telemetry/mode'), 'off');
}

stopCounting(join(dir, 'home/.config'));
stopCounting(join(dir, 'xdg'));

function go(env: Record<string, string>, ...args: string[]): string {
  const { PATH } = process.env;
  return execFileSync('go', ['env', ...args], { env: { PATH, ...env }, cwd: dir, encoding: 'utf8' }).trim();
}

const places: { why: string; env: Record<string, string> }[] = [
  { why: 'the home directory', env: { HOME: join(dir, 'home') } },
  { why: 'XDG_CONFIG_HOME', env: { HOME: join(dir, 'home'), XDG_CONFIG_HOME: join(dir, 'xdg') } },
  { why: 'GOENV', env: { HOME: join(dir, 'home'), GOENV: join(dir, 'named') } },
];

for (const [at, { why, env }] of places.entries()) {
  test(`what go env -w wrote is found by ${why}`, () => {
    const patterns = `*.corp${at}.example,x.example/y=z`;
    go(env, '-w', `GOPRIVATE=${patterns}`, 'GONOSUMDB=q.example');
    assert.equal(go(env, 'GOPRIVATE'), patterns);
    const found = new GoEnv(env);
    assert.deepEqual(found.find('GOPRIVATE'), { text: patterns, from: 'GOPRIVATE of go env -w' });
    assert.equal(found.find('GONOSUMDB')?.text, 'q.example');
    assert.equal(found.find('GOSUMDB'), undefined);
    assert.deepEqual(new GoEnv({ ...env, GOPRIVATE: 'own.example' }).find('GOPRIVATE'), {
      text: 'own.example',
      from: 'GOPRIVATE',
    });
    assert.equal(new GoEnv({ ...env, GOENV: 'off' }).find('GOPRIVATE'), undefined);
  });
}

test('lines that are no setting are passed over, and the last of two wins, as for go', () => {
  const GOENV = join(dir, 'by-hand');
  const lines = [
    '# GOPRIVATE=no',
    ' GOPRIVATE=no',
    '=no',
    'GOPRIVATE',
    'GOPRIVATE=a.example',
    'GOPRIVATE=b.example',
  ];
  writeFileSync(GOENV, lines.join('\n'));
  assert.equal(go({ GOENV, HOME: join(dir, 'home') }, 'GOPRIVATE'), 'b.example');
  assert.equal(new GoEnv({ GOENV }).find('GOPRIVATE')?.text, 'b.example');
});

test('a directory, an endless file and no file at all are no settings', () => {
  mkdirSync(join(dir, 'directory'));
  for (const GOENV of [join(dir, 'directory'), '/dev/zero', join(dir, 'nowhere')]) {
    assert.equal(new GoEnv({ GOENV }).find('GOPRIVATE'), undefined);
  }
});

test('all five settings that Astera shares with go come from there', async () => {
  const GOENV = join(dir, 'all');
  const settings = [
    'GOPROXY=https://proxy.example',
    'GOPRIVATE=*.corp.example',
    'GOSUMDB=off',
    'GONOSUMDB=n.example',
    'GONOPROXY=p.example',
  ];
  writeFileSync(GOENV, settings.join('\n'));
  const config = await loadConfig({ flags: {}, env: { GOENV } });
  assert.equal(config.upstream, 'https://proxy.example');
  assert.equal(config.privatePatterns, '*.corp.example');
  assert.equal(config.sumdb, 'off');
  assert.equal(config.noSumdbPatterns, 'n.example');
  assert.equal(config.noProxyPatterns, 'p.example');
});
