// Goal: the command line as users meet it: help, version, and wrong usage in one line with exit code 2.
// Method: the real entry in processes of their own, with an environment and a home of the test's.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { serveOptions } from '../src/commands/serve-options.ts';

const home = mkdtempSync(join(tmpdir(), 'astera-main-'));
after(() => rmSync(home, { recursive: true, force: true }));

const main = new URL('../src/main.ts', import.meta.url).pathname;

type Outcome = { code: number | null; stdout: string; stderr: string };

function astera(...args: string[]): Outcome {
  return node(main, ...args);
}

function node(...args: string[]): Outcome {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', ...args],
    { encoding: 'utf8', env: { HOME: home, PATH: home }, cwd: home, timeout: 30_000 },
  );
  return { code: status, stdout, stderr };
}

test('--help names every flag, gives examples, and starts nothing', () => {
  for (const args of [['--help'], ['-h'], ['-help'], ['serve', '--help']]) {
    const { code, stdout, stderr } = astera(...args);
    assert.equal(code, 0);
    assert.equal(stderr, '');
    for (const { name } of Object.values(serveOptions)) assert.ok(stdout.includes(`--${name} `), name);
    assert.match(stdout, /Examples:/);
    assert.doesNotMatch(stdout, /.{121}/, 'fits a terminal');
  }
});

test('--version gives ours', () => {
  const manifest: unknown = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
  assert.ok(typeof manifest === 'object' && manifest !== null && 'version' in manifest);
  const { code, stdout } = astera('--version');
  assert.equal(code, 0);
  assert.ok(stdout.startsWith(`astera ${manifest.version} `), stdout);
});

test('on another Node it says so before it loads anything', () => {
  const other =
    'const v = {...process.versions, node: "24.1.0"}; Object.defineProperty(process, "versions", { value: v })';
  const { code, stdout, stderr } = node('--import', `data:text/javascript,${other}`, main, '--help');
  assert.match(stderr, /^astera: needs Node 22, found v[^\n]+bin\/astera[^\n]+\n$/);
  assert.equal(stdout, '');
  assert.equal(code, 1);
});

// No row gets as far as serving: each is refused before, or has a file of settings that does not exist.
const wrong: { args: string[]; line: RegExp; why: string }[] = [
  { args: ['--lst-ttl', '5m'], line: /unknown flag "--lst-ttl": did you mean --list-ttl\?/, why: 'a typo' },
  { args: ['-xyz'], line: /unknown flag "--xyz": see 'astera --help'/, why: 'one dash is a long flag too' },
  { args: ['--no-offline'], line: /unknown flag "--no-offline"/, why: 'no negated flags' },
  { args: ['--plugin', '1'], line: /unknown flag "--plugin"/, why: 'a flag kept for later' },
  { args: ['--db.x', '1'], line: /unknown flag "--db\.x"/, why: 'a dot in a name' },
  { args: ['srve'], line: /unknown command "srve": did you mean serve\?/, why: 'a mistyped command' },
  { args: ['cacheprog'], line: /unknown command "cacheprog"/, why: 'a command kept for later' },
  { args: ['serve', 'serve'], line: /unknown command "serve"/, why: 'one command too many' },
  { args: ['serve', '--', 'x'], line: /unknown command "x"/, why: 'a word behind --' },
  { args: ['--addr'], line: /flag --addr needs a value/, why: 'no value' },
  { args: ['--addr', '--offline'], line: /flag --addr needs a value/, why: 'a flag where the value belongs' },
  { args: ['--addr='], line: /bad value for --addr: "": expected an address/, why: 'an empty value' },
  { args: ['-addr', '8080'], line: /bad value for --addr: "8080"/, why: 'a value after one dash' },
  { args: ['-addr=8080'], line: /bad value for --addr: "8080"/, why: 'a value after = and one dash' },
  { args: ['--readers', '007x'], line: /bad value for --readers: "007x"/, why: 'a value is never a number' },
  {
    args: ['--readers', '1', '--readers', '0'],
    line: /bad value for --readers: "0"/,
    why: 'the last one counts',
  },
  {
    args: ['--offline=no'],
    line: /bad value for --offline: "no": expected true or false/,
    why: 'a bad switch',
  },
  { args: ['--offline', 'srve'], line: /unknown command "srve"/, why: 'a switch takes no word' },
  {
    args: ['-offline', '--config', '/nowhere'],
    line: /cannot read --config "\/nowhere"/,
    why: 'no such file',
  },
  { args: ['--addr', '127.0.0.1:0'], line: /no upstream: pass --upstream/, why: 'no upstream' },
];

for (const { args, line, why } of wrong) {
  test(`astera ${args.join(' ')}: exit 2 and one line: ${why}`, () => {
    const { code, stdout, stderr } = astera(...args);
    assert.match(stderr, line);
    assert.match(stderr, /^astera: [^\n]+\n$/);
    assert.equal(stdout, '');
    assert.equal(code, 2);
  });
}
