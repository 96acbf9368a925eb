// Goal: a bundle holds all that a machine needs, for the platform it is named after and no other, in the same bytes
// wherever it is built.
// Method: unpack both them, read the headers of every native part, and start the one of this machine in an
// empty environment, in front of a local upstream, for the real `go` command.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { Astera } from '../support/astera.ts';
import { buildBundle, bundleOf, HERE, type Platform, PROGRAMS, unpackWith } from '../support/bundles.ts';
import { CHECKOUT } from '../support/corpus.ts';
import { GoClient } from '../support/go.ts';
import { LocalUpstream } from '../support/local-upstream.ts';

/** Of ELF, EM_AARCH64 and EM_X86_64. */
const machines = { 'linux-arm64': 183, 'linux-x64': 62 } as const;

/** Debian 12's and Raspberry Pi OS 12's: the second number of `GLIBC_2.36`. */
const GLIBC_MINOR_MAX = 36;

const ARCHIVE_BYTES_MAX = 60_000_000;

/** Each command that is loaded when it is used makes a few. The packages as npm lays them out have thousands. */
const FILES_MAX = 250;
const MODULE = { path: 'example.com/bundled', version: 'v1.2.3', contentBytes: 300_000 };

let directory: string;
let upstream: LocalUpstream;

before(async () => {
  mkdirSync(join(CHECKOUT, '.cache'), { recursive: true });
  directory = mkdtempSync(join(CHECKOUT, '.cache/bundle-test-'));
  upstream = await LocalUpstream.start({ madeUp: [MODULE] });
});

after(async () => {
  await upstream.close();
  rmSync(directory, { recursive: true, force: true });
});

for (const platform of Object.keys(machines) as Platform[]) {
  suite(`the bundle for ${platform}`, () => {
    let files: string[];

    before(() => {
      execFileSync('tar', ['-xzf', bundleOf(platform), '-C', directory]);
      const paths = readdirSync(unpacked(platform), { recursive: true, encoding: 'utf8' });
      files = paths.filter((path) => statSync(join(unpacked(platform), path)).isFile());
    });

    test('is small', () => {
      assert.ok(statSync(bundleOf(platform)).size < ARCHIVE_BYTES_MAX);
      assert.ok(files.length < FILES_MAX, `${files.length} files`);
    });

    test('has the sum of each file', () => {
      execFileSync('sha256sum', ['--check', '--strict', '--quiet', 'SHA256SUMS'], {
        cwd: unpacked(platform),
      });
      const listed = readFileSync(join(unpacked(platform), 'SHA256SUMS'), 'utf8')
        .trim()
        .split('\n');
      assert.equal(listed.length, files.length - 1);
    });

    test('has native parts of its platform only, which an old C library can load', () => {
      const native = files.filter((path) => isElf(join(unpacked(platform), path)));
      const names = native.map((path) => path.replace(/^.*\//, ''));
      for (const name of [/^node$/, /^uws_/, /^linux-/, /^node\.napi/, /^nice\./]) {
        assert.equal(names.filter((one) => name.test(one)).length, 1, String(name));
      }
      assert.equal(native.length, 5, names.join(' '));
      for (const path of native) {
        const bytes = readFileSync(join(unpacked(platform), path));
        assert.equal(bytes.readUInt16LE(18), machines[platform], path);
        const minors = [...bytes.toString('latin1').matchAll(/\bGLIBC_2\.(\d+)/g)].map(([, minor]) =>
          Number(minor),
        );
        assert.ok(
          minors.length > 0 && Math.max(...minors) <= GLIBC_MINOR_MAX,
          `${path}: ${Math.max(...minors)}`,
        );
      }
    });

    test('has the licence of each part', () => {
      const text = readFileSync(join(unpacked(platform), 'LICENSES.txt'), 'utf8');
      const parts = new Map(
        text
          .split(/^===== (?=\S+ =====$)/m)
          .slice(1)
          .map((part) => [part.slice(0, part.indexOf(' =====')), part]),
      );
      for (const name of [
        'undici',
        'uWebSockets.js',
        'better-sqlite3',
        `node-${platform}`,
        'yargs',
        'preact',
      ]) {
        assert.ok(parts.has(name), name);
      }
      for (const [name, part] of parts) assert.ok(part.length > 500, name);
    });

    test('names no directory of the machine that built it', () => {
      for (const path of files.filter((one) => /\.(?:m?js|json|conf|service|md)$|^bin\//.test(one))) {
        assert.ok(!readFileSync(join(unpacked(platform), path), 'utf8').includes(CHECKOUT), path);
      }
    });
  });
}

suite('the bundle for this machine', () => {
  const program = () => join(unpacked(HERE), 'bin/astera');

  before(() => unpackWith(bundleOf(HERE), directory, upstream.url));

  test('serves the go command from the upstream of its settings, in an empty environment', async () => {
    const astera = await Astera.start({
      program: program(),
      wrapper: ['env', '-i'],
      flags: ['--sumdb', 'off', '--verify', 'off'],
    });
    const client = await GoClient.create(astera.url);
    try {
      const { code, stderr } = await client.run('mod', 'download', `${MODULE.path}@${MODULE.version}`);
      assert.equal(code, 0, stderr);
      assert.equal((await astera.get('readyz')).status, 200);
      assert.match(await (await astera.get('metrics')).text(), /^astera_http_requests_total/m);
      const page = await astera.get('', { headers: { accept: 'text/html' } });
      assert.match(await page.text(), /<title>Astera<\/title>/);
      for (const path of ['status/main.js', 'status/page.css', 'status/icon.svg'])
        assert.equal((await astera.get(path)).status, 200, path);
      await astera.stop();
      assert.match(
        execFileSync(program(), ['stats', '--db', astera.db], { env: {}, encoding: 'utf8' }),
        /^zip +upstream +1/m,
      );
    } finally {
      await client.dispose();
      await astera.dispose();
    }
  });

  test('runs its Node, its version and its cache program', () => {
    const run = (...args: string[]) =>
      execFileSync(program(), args, { env: {}, encoding: 'utf8', input: '' });
    const { version } = JSON.parse(readFileSync(join(CHECKOUT, 'package.json'), 'utf8')) as {
      version: string;
    };
    assert.equal(run('--version'), `astera ${version} (Node ${process.versions.node})\n`);
    assert.match(run('--help'), /--addr/);
    assert.match(run('cacheprog', '--cache-dir', join(directory, 'build-cache')), /"KnownCommands"/);
    assert.match(run('connect', '1'), /"KnownCommands"/);
  });

  test('is the same, byte for byte, from another directory with another umask', () => {
    const elsewhere = join(directory, 'elsewhere');
    for (const path of ['src', 'deploy', 'bin', 'LICENSE', 'package.json', 'package-lock.json', '.npmrc']) {
      cpSync(join(CHECKOUT, path), join(elsewhere, path), { recursive: true });
    }
    for (const path of [...PROGRAMS, 'dist/page'])
      cpSync(join(CHECKOUT, path), join(elsewhere, path), { recursive: true });
    for (const path of ['node_modules', `.cache/bundle/node22/${HERE}`]) {
      mkdirSync(join(elsewhere, path, '..'), { recursive: true });
      execFileSync('cp', ['-al', join(CHECKOUT, path), join(elsewhere, path)]);
    }
    const out = join(elsewhere, 'out');
    const again = buildBundle({ home: elsewhere, out, platform: HERE, umask: '077' });
    assert.ok(readFileSync(again).equals(readFileSync(bundleOf(HERE))));
  });
});

test('with Node 24 a bundle is another version, with the native parts of that Node', () => {
  const out = join(directory, 'node24');
  const archive = buildBundle({ out, platform: HERE, node: '24' });
  const list = execFileSync('tar', ['-tzf', archive], { encoding: 'utf8' });
  assert.match(list, new RegExp(`^astera-[^/]*-node24-${HERE}/dist/parts/uws_\\w+_137\\.node$`, 'm'));
  assert.doesNotMatch(list, /_127\.node/);
  // It cannot run here: its uWebSockets.js needs glibc 2.38. Its Node can.
  execFileSync('tar', ['-xzf', archive, '-C', out]);
  const node = join(archive.replace(/\.tar\.gz$/, ''), 'node_modules', `node-${HERE}`, 'bin/node');
  assert.match(execFileSync(node, ['--version'], { encoding: 'utf8' }), /^v24\./);
});

function unpacked(platform: Platform): string {
  return join(directory, basename(bundleOf(platform), '.tar.gz'));
}

function isElf(path: string): boolean {
  return readFileSync(path).subarray(0, 4).toString('latin1') === '\x7fELF';
}
