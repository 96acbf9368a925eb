// Goal: one command puts Astera on another machine, upgrades it under load, and goes back by itself from a version that
// does not start; others go back by hand and remove it.
// Method: `make deploy` and its kin over a real sshd on loopback, with real bundles. Tests run in order: each goes on
// from the machine that the one before it left.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { bundleOf, HERE, unpackWith } from '../support/bundles.ts';
import { CHECKOUT } from '../support/corpus.ts';
import { DeployHost } from '../support/deploy-host.ts';
import { LocalUpstream } from '../support/local-upstream.ts';
import { madeUpFiles } from '../support/module-zip.ts';

const MODULE = { path: 'example.com/deployed', version: 'v1.0.0', contentBytes: 2_000_000 };
const ZIP = `/${MODULE.path}/@v/${MODULE.version}.zip`;

let directory: string;
let upstream: LocalUpstream;
let host: DeployHost;

before(async () => {
  mkdirSync(join(CHECKOUT, '.cache'), { recursive: true });
  directory = mkdtempSync(join(CHECKOUT, '.cache/deploy-test-'));
  upstream = await LocalUpstream.start({ madeUp: [MODULE] });
  host = await DeployHost.start(directory);
});

after(async () => {
  await host.stop();
  await upstream.close();
  rmSync(directory, { recursive: true, force: true });
});

test('a name that is none, a machine that is not there and an archive for another one are refused in a line', async () => {
  const rows: { variables: Record<string, string>; says: RegExp }[] = [
    { variables: { HOST: '' }, says: /^deploy: name the machine: make deploy HOST=pi@raspberrypi\.local$/m },
    { variables: { HOST: '-oProxyCommand=x' }, says: /^deploy: not a machine: '-oProxyCommand=x'$/m },
    {
      variables: { HOST: '127.0.0.2' },
      says: /^deploy: cannot reach 127\.0\.0\.2: does 'ssh 127\.0\.0\.2' work\?$/m,
    },
    {
      variables: { BUNDLE: 'x-linux-sparc.tar.gz' },
      says: /^deploy: x-linux-sparc\.tar\.gz is not for 127\.0\.0\.1/m,
    },
  ];
  for (const { variables, says } of rows) {
    const { code, output } = await host.make('deploy', variables);
    assert.notEqual(code, 0);
    assert.match(output, says);
  }
  assert.ok(!host.has('opt'), 'nothing was made there');
  const { output } = await host.make('rollback');
  assert.match(output, /^astera: there is no version to go back to: only none is installed$/m);
});

test('a first version that does not start leaves no service behind', async () => {
  const { code, output } = await host.make('deploy', { BUNDLE: variant('0.0.1', 'process.exit(1);') });
  assert.notEqual(code, 0);
  assert.match(output, /^astera: version 0\.0\.1 did not become ready, and none ran before it/m);
  assert.ok(host.takeCalls().includes('systemctl disable --now --quiet astera'));
  assert.deepEqual(readdirSync(join(host.root, 'opt/astera')), []);
});

test('a machine that has nothing gets user, settings, unit and a running server', async () => {
  const { code, output } = await host.make('deploy', { BUNDLE: original() });
  assert.equal(code, 0, output);
  assert.equal(current(), version());
  assert.match(output, /^ {2}go env -w GOPROXY=http:\/\/127\.0\.0\.1:\d+,direct$/m);
  const calls = host.takeCalls();
  for (const call of [
    'systemctl daemon-reload',
    'systemctl enable --quiet astera',
    'systemctl restart astera',
  ]) {
    assert.ok(calls.includes(call), `${call} in ${calls.join('; ')}`);
  }
  assert.ok(host.has('state/user') || calls.some((call) => call.startsWith('useradd --system')));
  const unit = readFileSync(join(CHECKOUT, 'deploy/astera.service'), 'utf8');
  assert.equal(host.read('etc/systemd/system/astera.service'), unit);
  assert.match(host.read('etc/astera/astera.conf'), new RegExp(`^upstream = ${upstream.url}$`, 'm'));
  await assertServes();
  assert.ok(host.has('var/lib/astera/astera.db'));
});

test('deployed again nothing is done, and the server goes on', async () => {
  const pid = host.read('state/pid');
  const { code, output } = await host.make('deploy', { BUNDLE: original() });
  assert.equal(code, 0, output);
  assert.match(output, new RegExp(`^astera: version ${version()} runs already, ready at http://`, 'm'));
  assert.equal(host.read('state/pid'), pid);
  assert.ok(!host.takeCalls().some((call) => call.startsWith('systemctl restart')));
});

test('an upgrade under load keeps settings and store, and no request gets a wrong answer', async () => {
  const settings = '# mine\nlog-level = warn\n';
  writeFileSync(join(host.root, 'etc/astera/astera.conf'), settings + host.read('etc/astera/astera.conf'));
  const kept = host.read('etc/astera/astera.conf');
  let isOver = false;
  const clients = Array.from({ length: 4 }, () => load(() => isOver));
  const { code, output } = await host.make('deploy', { BUNDLE: variant('9.0.0') });
  isOver = true;
  const answers = (await Promise.all(clients)).reduce((sum, one) => sum + one, 0);
  assert.equal(code, 0, output);
  assert.ok(answers > 20, `${answers} answers`);
  assert.equal(current(), '9.0.0');
  assert.equal(readlinkSync(join(host.root, 'opt/astera/previous')), version());
  assert.equal(host.read('etc/astera/astera.conf'), kept);
  await assertServes();
  assert.equal(upstream.count(ZIP.slice(1)), 1, 'the store was kept');
});

for (const { why, code } of [
  { why: 'ends at once', code: 'process.exit(1);' },
  {
    why: 'is never ready',
    code: `import { createServer } from 'node:http';
if (process.argv[2] === 'ready') await import('./original.js');
else {
  const [host, port] = process.env.ASTERA_ADDR.split(':');
  createServer((_, response) => response.writeHead(503).end('never')).listen(Number(port), host, () => console.log('listening'));
}`,
  },
]) {
  test(`a version that ${why} is put back by itself`, async () => {
    const { code: exit, output } = await host.make('deploy', { BUNDLE: variant('9.9.9', code), WAIT: '1s' });
    assert.notEqual(exit, 0);
    assert.match(output, /^astera: version 9\.9\.9 did not become ready: version 9\.0\.0 serves again$/m);
    assert.equal(current(), '9.0.0');
    assert.equal(readlinkSync(join(host.root, 'opt/astera/previous')), version());
    assert.ok(!host.has('opt/astera/9.9.9'), 'what did not start is removed');
    await assertServes();
  });
}

test('the same version with other content lies beside the first', async () => {
  const { code, output } = await host.make('deploy', { BUNDLE: variant('9.0.0', undefined, 'changed') });
  assert.equal(code, 0, output);
  assert.match(current(), /^9\.0\.0-[0-9a-f]{8}$/);
  const kept = readdirSync(join(host.root, 'opt/astera')).sort();
  assert.deepEqual(kept, ['9.0.0', current(), 'current', 'previous'], 'the last two stay');
  await assertServes();
});

test('a rollback leads to the version before, and another one back', async () => {
  const last = current();
  const back = await host.make('rollback');
  assert.equal(back.code, 0, back.output);
  assert.equal(current(), '9.0.0');
  await assertServes();
  const again = await host.make('rollback');
  assert.equal(again.code, 0, again.output);
  assert.equal(current(), last);
  await assertServes();
});

test('a user who is not root deploys by sudo, and is told where that cannot work', async () => {
  const last = current();
  host.logInAs('user');
  const refused = await host.make('deploy', { BUNDLE: variant('9.0.1') });
  assert.notEqual(refused.code, 0);
  assert.match(refused.output, /^deploy: sudo on 127\.0\.0\.1 asks for a password.*NOPASSWD/m);
  host.logInAs('sudoer');
  host.takeCalls();
  const { code, output } = await host.make('deploy', { BUNDLE: variant('9.0.1') });
  assert.equal(code, 0, output);
  assert.equal(current(), '9.0.1');
  await assertServes();
  const back = await host.make('rollback');
  assert.equal(back.code, 0, back.output);
  assert.equal(current(), last);
  assert.ok(host.takeCalls().every((call) => !call.startsWith('sudo') || call.startsWith('sudo -n ')));
  host.logInAs('root');
});

test('a damaged archive changes nothing', async () => {
  const { code, output } = await host.make('deploy', {
    BUNDLE: variant('9.1.0', undefined, 'changed', false),
  });
  assert.notEqual(code, 0);
  assert.match(output, /^astera: the copy of the bundle is damaged: try again$/m);
  assert.match(current(), /^9\.0\.0-/);
  await assertServes();
});

test('undeploy removes all but settings and data, and these too when it is asked for', async () => {
  host.takeCalls();
  const { code, output } = await host.make('undeploy');
  assert.equal(code, 0, output);
  assert.match(output, /^astera: kept: /m);
  await assert.rejects(fetch(`${host.url}/readyz`), 'it serves no more');
  for (const path of ['opt/astera', 'etc/systemd/system/astera.service', 'usr/local/bin/astera']) {
    assert.ok(!host.has(path), path);
  }
  assert.ok(host.has('var/lib/astera/astera.db') && host.has('etc/astera/astera.conf'));
  assert.ok(host.takeCalls().includes('systemctl disable --now --quiet astera'));
  const again = await host.make('undeploy', { PURGE: '1' });
  assert.equal(again.code, 0, again.output);
  assert.ok(!host.has('var/lib/astera') && !host.has('etc/astera'));
  assert.ok(host.takeCalls().includes('userdel astera'));
});

/** The checkout's own, with our upstream. */
function original(): string {
  const file = join(directory, `astera-${version()}-${HERE}.tar.gz`);
  if (!existsSync(file)) packed(unpackWith(bundleOf(HERE), directory, upstream.url), file);
  return file;
}

function version(): string {
  const { version } = JSON.parse(readFileSync(join(CHECKOUT, 'package.json'), 'utf8')) as { version: string };
  return version;
}

function current(): string {
  return readlinkSync(join(host.root, 'opt/astera/current'));
}

/** Every answer is the zip; a connection may be cut or refused while the version changes. */
async function load(isOver: () => boolean): Promise<number> {
  const { zip } = madeUpFiles(MODULE);
  let answers = 0;
  while (!isOver()) {
    const body = await fetch(host.url + ZIP).then(
      async (response) => {
        assert.equal(response.status, 200);
        return Buffer.from(await response.arrayBuffer().catch(() => new ArrayBuffer(0)));
      },
      () => undefined,
    );
    if (body === undefined || body.length === 0) continue;
    assert.ok(body.equals(zip));
    answers++;
  }
  return answers;
}

async function assertServes(): Promise<void> {
  const response = await fetch(host.url + ZIP);
  assert.equal(response.status, 200);
  assert.ok(Buffer.from(await response.arrayBuffer()).equals(madeUpFiles(MODULE).zip));
}

/**
 * The bundle as another version.
 *
 * @param main in place of its entry, which is then `original.js`
 * @param note more text in it
 * @param isWhole whether its sums are right
 */
function variant(name: string, main?: string, note = '', isWhole = true): string {
  const stage = mkdtempSync(join(directory, 'variant-'));
  execFileSync('tar', ['-xzf', original(), '-C', stage, '--strip-components=1']);
  const manifest = readFileSync(join(stage, 'package.json'), 'utf8');
  writeFileSync(join(stage, 'package.json'), manifest.replace(/"version": "[^"]*"/, `"version": "${name}"`));
  const entry = join(stage, 'dist/main.js');
  if (main !== undefined) {
    writeFileSync(join(stage, 'dist/original.js'), readFileSync(entry));
    writeFileSync(entry, `if (process.argv.includes('--version')) process.exit(0);\n${main}`);
  }
  writeFileSync(join(stage, 'dist/note'), note);
  const file = `${stage}-${HERE}.tar.gz`;
  packed(stage, file, isWhole);
  return file;
}

/** Makes an archive of an unpacked bundle that was changed, and removes the bundle. */
function packed(home: string, file: string, isWhole = true): void {
  const sums =
    "find . -type f ! -name SHA256SUMS | sed 's|^./||' | sort | xargs -d '\\n' sha256sum >SHA256SUMS";
  execFileSync('sh', ['-c', sums], { cwd: home });
  if (!isWhole) writeFileSync(join(home, 'dist/note'), 'damaged');
  execFileSync('tar', ['-I', 'gzip -1', '-cf', file, '-C', dirname(home), basename(home)]);
  rmSync(home, { recursive: true });
}
