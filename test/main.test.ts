// Goal: the command line as users meet it: help, version, and wrong usage in one line with exit code 2.
// Method: the real entry in processes of their own, with an environment and a home of the test's.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { commands } from '../src/commands/command-list.ts';
import { serveOptions } from '../src/settings/serve-options.ts';
import { mainEntry } from './support/entry.ts';

const home = mkdtempSync(join(tmpdir(), 'astera-main-'));
after(() => rmSync(home, { recursive: true, force: true }));

const main = mainEntry();

type Outcome = { code: number | null; stdout: string; stderr: string };

function astera(...args: string[]): Outcome {
  return node([main, ...args]);
}

function node(args: string[], variables: Record<string, string> = {}): Outcome {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', ...args],
    { encoding: 'utf8', env: { HOME: home, PATH: home, ...variables }, cwd: home, timeout: 30_000 },
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

test('--help of a command says what it takes, whatever else stands there', () => {
  for (const command of commands) {
    const { code, stdout } = astera(command.name, '--no-such-flag', '--help');
    assert.equal(code, 0);
    if (command.name !== 'serve') assert.ok(stdout.startsWith(`${command.help}\n`), stdout);
    for (const { name } of command.flags) assert.match(stdout, new RegExp(`^  --${name} `, 'm'));
    assert.match(stdout, /^ {2}(?:\S.*)?\bastera\b/m, 'has an example');
    assert.doesNotMatch(stdout, /\$0|.{111}/, 'fits a terminal');
  }
});

test('the help of all names every command', () => {
  const { stdout } = astera('--help');
  for (const { name, help } of commands)
    assert.match(stdout, new RegExp(`^  ${name} +${help.slice(0, 10)}`, 'm'));
});

// Bash itself is asked what it would offer.
const completions: { line: string; offers: string[]; not: string[]; why: string }[] = [
  { line: 'astera st', offers: ['stats'], not: ['serve', '--db'], why: 'a command' },
  {
    line: 'astera ',
    offers: ['serve', 'verify', '--addr', '--help'],
    not: ['--json'],
    why: 'commands and flags of serve',
  },
  { line: 'astera stats --j', offers: ['--json'], not: ['--db'], why: 'a flag of a command' },
  {
    line: 'astera stats --',
    offers: ['--json', '--db', '--help'],
    not: ['--addr', '--repair'],
    why: 'flags of it alone',
  },
  { line: 'astera --pp', offers: ['--pprof'], not: [], why: 'a flag without a command' },
];

for (const { line, offers, not, why } of completions) {
  test(`completion offers ${why}`, () => {
    const words = line
      .split(' ')
      .map((word) => `'${word}'`)
      .join(' ');
    const script = `source <("$NODE" --disable-warning=ExperimentalWarning "$MAIN" completion bash)
      COMP_WORDS=(${words}); COMP_CWORD=${line.split(' ').length - 1}; _astera; printf '%s\\n' "\${COMPREPLY[@]}"; complete -p astera`;
    const env = { ...process.env, HOME: home, NODE: process.execPath, MAIN: main };
    const { stdout, stderr } = spawnSync('bash', ['--norc', '-c', script], { encoding: 'utf8', env });
    assert.equal(stderr, '');
    const found = stdout.trim().split('\n');
    assert.match(found.pop() ?? '', /^complete -o default -F _astera astera$/);
    for (const word of offers) assert.ok(found.includes(word), `${word} in ${found.join(' ')}`);
    for (const word of not) assert.ok(!found.includes(word), `no ${word} in ${found.join(' ')}`);
  });
}

test('the same script serves zsh, by its bashcompinit', () => {
  const { code, stdout } = astera('completion', 'zsh');
  assert.equal(code, 0);
  assert.ok(stdout.startsWith('autoload -Uz compinit bashcompinit'));
  assert.ok(stdout.endsWith(astera('completion').stdout));
});

test('a command finds its store by flag, variable and file, in this order', () => {
  const file = join(home, 'astera.conf');
  writeFileSync(file, 'db = from-file.db\nlist-ttl = 5m\n');
  const storeOf = (env: Record<string, string>, ...args: string[]) =>
    /cannot open store "([^"]*)"/.exec(node([main, 'stats', ...args], env).stderr)?.[1];
  assert.equal(storeOf({}), join(home, 'astera.db'));
  assert.equal(storeOf({}, '--config', file), join(home, 'from-file.db'));
  assert.equal(
    storeOf({ ASTERA_CONFIG: file, ASTERA_DB: 'from-variable.db' }),
    join(home, 'from-variable.db'),
  );
  assert.equal(storeOf({ ASTERA_DB: 'from-variable.db' }, '-db=from-flag.db'), join(home, 'from-flag.db'));
});

test('a stack trace is for the log level debug alone', () => {
  assert.match(
    astera('stats', '--log-level', 'debug').stderr,
    /^StoreFailed: cannot open store [^\n]+\n {4}at /,
  );
  assert.match(astera('stats').stderr, /^astera: cannot open store [^\n]+\n$/);
});

test('bin/astera refuses a Node of another line in one line of its own', () => {
  // As in a bundle for another machine: no Node beside it, an old one in the PATH.
  const bundle = join(home, 'bundle/bin');
  mkdirSync(bundle, { recursive: true });
  copyFileSync(new URL('../bin/astera', import.meta.url), join(bundle, 'astera'));
  writeFileSync(join(home, 'node'), '#!/bin/sh\necho v20.1.0\n', { mode: 0o755 });
  const env = { PATH: `${home}:/usr/bin:/bin` };
  const { status, stdout, stderr } = spawnSync(join(bundle, 'astera'), ['--help'], { encoding: 'utf8', env });
  assert.match(stderr, /^astera: needs Node 22, found v20\.1\.0 \([^\n]+\/node\): run 'npm ci' in [^\n]+\n$/);
  assert.equal(stdout, '');
  assert.equal(status, 1);
});

// What a start would run, by a Node that only prints its last arguments. The build is of minute 10.
const starts: { args: string[]; changed: Record<string, number>; runs: string; why: string }[] = [
  { args: ['stats'], changed: {}, runs: 'dist/main.js stats', why: 'what is built' },
  {
    args: ['stats'],
    changed: { 'src/main.ts': 11 },
    runs: 'src/main.ts stats',
    why: 'a source, if one is newer',
  },
  {
    args: ['stats'],
    changed: { 'src/git/a.ts': 11 },
    runs: 'src/main.ts stats',
    why: 'a source of any room',
  },
  {
    args: ['stats'],
    changed: { 'dist/.built': 0 },
    runs: 'src/main.ts stats',
    why: 'sources after a half build',
  },
  { args: ['connect', '1'], changed: {}, runs: 'dist/connect-main.cjs connect 1', why: 'the small file' },
  {
    args: ['cacheprog', '-x'],
    changed: {},
    runs: 'dist/cacheprog-main.cjs -x',
    why: 'the small file, as plain cacheprog',
  },
  {
    args: ['connect', '1'],
    changed: { 'src/git/a.ts': 11 },
    runs: 'dist/connect-main.cjs connect 1',
    why: 'the small file, which has nothing of that room',
  },
  {
    args: ['connect', '1'],
    changed: { 'src/plugin/a.ts': 11 },
    runs: 'src/main.ts connect 1',
    why: 'a newer source of the small file',
  },
  {
    args: ['connect', '1'],
    changed: { 'src/core/a.ts': 11 },
    runs: 'src/main.ts connect 1',
    why: 'a newer source that the small file shares',
  },
];

for (const { args, changed, runs, why } of starts) {
  test(`bin/astera ${args.join(' ')} runs ${why}`, () => {
    const checkout = mkdtempSync(join(home, 'checkout-'));
    const files = ['main.ts', 'core/a.ts', 'git/a.ts', 'plugin/a.ts'].map((file) => `src/${file}`);
    const built = ['dist/main.js', 'dist/cacheprog-main.cjs', 'dist/connect-main.cjs', 'dist/.built'];
    const nodes = ['x64', 'arm64'].map((machine) => `node_modules/node-linux-${machine}/bin/node`);
    for (const file of [...files, ...built, ...nodes]) {
      mkdirSync(dirname(join(checkout, file)), { recursive: true });
      writeFileSync(join(checkout, file), '#!/bin/sh\necho "$@"\n', { mode: 0o755 });
      const minute = changed[file] ?? (built.includes(file) ? 10 : 5);
      if (minute === 0) rmSync(join(checkout, file));
      else utimesSync(join(checkout, file), minute * 60, minute * 60);
    }
    mkdirSync(join(checkout, 'bin'));
    copyFileSync(new URL('../bin/astera', import.meta.url), join(checkout, 'bin/astera'));
    const { status, stdout } = spawnSync(join(checkout, 'bin/astera'), args, { encoding: 'utf8' });
    assert.ok(stdout.endsWith(` ${join(checkout, runs)}\n`), stdout);
    assert.equal(status, 0);
  });
}

test('--version gives ours', () => {
  const manifest: unknown = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
  assert.ok(typeof manifest === 'object' && manifest !== null && 'version' in manifest);
  const { code, stdout } = astera('--version');
  assert.equal(code, 0);
  assert.ok(stdout.startsWith(`astera ${manifest.version} `), stdout);
});

test("bin/astera's flag of V8 is taken away, so that compiled code fits", () => {
  const atExit =
    'process.on("exit", () => console.log("tag", process.getBuiltinModule("v8").cachedDataVersionTag()))';
  const tell = ['--import', `data:text/javascript,${atExit}`];
  const tag = (...args: string[]) => /^tag (\d+)$/m.exec(node(args).stdout)?.[1];
  const plain = tag(...tell, '--eval', '0');
  assert.ok(plain !== undefined);
  assert.notEqual(tag('--max-semi-space-size=8', ...tell, '--eval', '0'), plain);
  assert.equal(tag('--max-semi-space-size=8', ...tell, main, '--version'), plain);
});

test('on another Node it says so before it loads anything', () => {
  const other =
    'const v = {...process.versions, node: "24.1.0"}; Object.defineProperty(process, "versions", { value: v })';
  const { code, stdout, stderr } = node(['--import', `data:text/javascript,${other}`, main, '--help']);
  assert.match(stderr, /^astera: needs Node 22, found v[^\n]+bin\/astera[^\n]+\n$/);
  assert.equal(stdout, '');
  assert.equal(code, 1);
});

// No row gets as far as serving: each is refused before, or has a file of settings that does not exist.
const wrong: { args: string[]; line: RegExp; why: string }[] = [
  { args: ['--lst-ttl', '5m'], line: /unknown flag "--lst-ttl": did you mean --list-ttl\?/, why: 'a typo' },
  { args: ['-xyz'], line: /unknown flag "--xyz": see 'astera --help'/, why: 'one dash is a long flag too' },
  { args: ['--no-offline'], line: /unknown flag "--no-offline"/, why: 'no negated flags' },
  { args: ['--min-age', '7'], line: /bad value for --min-age: "7": expected an age/, why: 'no age' },
  { args: ['--plugin', '70000'], line: /bad value for --plugin: "70000": expected a port/, why: 'no port' },
  {
    args: ['--plugin', '0.0.0.0:5930'],
    line: /bad value for --plugin: "0\.0\.0\.0:5930"/,
    why: 'a build cache for the LAN without a token',
  },
  { args: ['--plugin', '0', '--u', '0'], line: /bad value for --u: "0"/, why: "a plugin server's flag" },
  {
    args: ['serve', '--cache-dir', '/x'],
    line: /--cache-dir is for --plugin/,
    why: 'a flag of the plugin server without one',
  },
  {
    args: ['--addr', ':0', '--http', ':0'],
    line: /--http is another name for --addr/,
    why: 'one setting twice',
  },
  { args: ['--db.x', '1'], line: /unknown flag "--db\.x"/, why: 'a dot in a name' },
  { args: ['srve'], line: /unknown command "srve": did you mean serve\?/, why: 'a mistyped command' },
  { args: ['backup'], line: /backup needs <file>: see 'astera backup --help'/, why: 'a backup to nowhere' },
  { args: ['connect'], line: /connect needs/, why: 'connect without a port' },
  { args: ['connect', '5930x'], line: /bad server "5930x": expected a port/, why: 'connect to no port' },
  { args: ['connect', '192.0.2.1:5930'], line: /bad server/, why: 'connect to another machine' },
  {
    args: ['connect', '5930', '--remote=x'],
    line: /unknown flag "--remote/,
    why: 'only the server has a remote',
  },
  { args: ['--cache-dir', '/x', '--u', '0'], line: /bad value for --u: "0"/, why: 'direct mode' },
  { args: ['cacheprog', '-u', '0'], line: /bad value for --u: "0"/, why: 'a number out of bounds' },
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
  { args: ['stats', '--jsn'], line: /unknown flag "--jsn": did you mean --json\?/, why: "a command's flag" },
  { args: ['stats', '--addr', ':1'], line: /unknown flag "--addr": see/, why: 'a flag of another command' },
  { args: ['stats', 'x'], line: /unknown word "x": see 'astera stats --help'/, why: 'a word too many' },
  { args: ['verfy'], line: /unknown command "verfy": did you mean verify\?/, why: 'near a command' },
  { args: ['completion', 'fish'], line: /no completion for "fish": bash or zsh/, why: 'no such shell' },
  {
    args: ['import', '--jason', 'x'],
    line: /unknown flag "--jason": see 'astera/,
    why: 'a word behind a flag that is none',
  },
  { args: ['import'], line: /import needs <dir>: see 'astera import --help'/, why: 'no directory' },
  {
    args: ['verify', '--repair=x'],
    line: /bad value for --repair: "x"/,
    why: "a bad switch of a command's own",
  },
  {
    args: ['--upstream', 'https://a.example,,b', '--db', 'new.db', '--addr', '127.0.0.1:0'],
    line: /bad value for --upstream/,
    why: 'a malformed list',
  },
  {
    args: ['--offline', '--sumdb', 'sum.example', '--db', 'new.db', '--addr', '127.0.0.1:0'],
    line: /bad value for --sumdb: cannot use checksum database "sum\.example": its key is not known here/,
    why: 'a database without a key',
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
    assert.equal(existsSync(join(home, 'new.db')), false, 'no store is made');
  });
}

test('an HTTP proxy that is none is told by its variable', () => {
  const args = ['--offline', '--db', 'proxied.db', '--addr', '127.0.0.1:0'];
  const { code, stderr } = node([main, ...args], { HTTPS_PROXY: 'ftp://me:s3cret@a.example' });
  assert.equal(stderr, 'astera: cannot read HTTPS_PROXY: not a proxy URL: "ftp://a.example"\n');
  assert.equal(code, 2);
});

/** Makes a function of `node:os` fail, as it does for a user, or in a sandbox, that lacks what it tells. */
function without(name: 'homedir' | 'networkInterfaces'): string {
  const code = `import os from 'node:os'; import { syncBuiltinESMExports } from 'node:module';
    os.${name} = () => { throw new Error('${name} fails'); }; syncBuiltinESMExports();`;
  return `--import=data:text/javascript,${encodeURIComponent(code)}`;
}

test('a user without a home directory can run all but the build cache, which says what to set', () => {
  const { code, stdout, stderr } = node([without('homedir'), main, '--version']);
  assert.deepEqual([code, stderr], [0, '']);
  assert.match(stdout, /^astera /);
  const cacheprog = node([without('homedir'), main, 'cacheprog']);
  assert.equal(cacheprog.code, 2);
  assert.match(
    cacheprog.stderr,
    /^astera( cacheprog)?: cannot find a home directory for the cache: set --cache-dir or HOME\n$/,
  );
});

test('a relative HOME is no place for a cache', () => {
  assert.equal(node([main, '--version'], { HOME: 'here' }).code, 0);
  assert.equal(existsSync(join(home, 'here')), false);
});

test('a current directory that was removed is told in one line, and absolute paths need none', () => {
  const inGone = (...args: string[]): Outcome => {
    const script = 'mkdir gone && cd gone && rmdir ../gone && exec "$@" 2>&1';
    const all = ['-c', script, 'sh', process.execPath, main, ...args];
    const { status, stdout } = spawnSync('/bin/sh', all, {
      encoding: 'utf8',
      cwd: home,
      env: { ...process.env, HOME: home },
    });
    return { code: status, stdout: stdout.replace(/^sh: .*\n/gm, ''), stderr: '' };
  };
  for (const args of [['stats'], ['stats', '--db', 'a.db'], ['export', 'x', '--db', join(home, 'a.db')]]) {
    const { code, stdout } = inGone(...args);
    assert.equal(code, 1);
    assert.match(
      stdout,
      /^astera: cannot resolve a relative path: the current directory was removed; [^\n]*\n$/,
    );
  }
  assert.match(inGone('stats', '--db', join(home, 'none.db')).stdout, /none\.db/);
});
