/**
 * `make bundle`: everything that a machine needs to run Astera, in one archive for each platform.
 *
 *     build-main.ts [--platform linux-arm64]… [--node 24] [--upstream LIST] [--out dist]
 *
 * Prints a line for each archive. Exits 1 with one line where something fails.
 */

import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { pack, sha256, writeSums } from './archive.ts';
import { buildCode } from './code.ts';
import { writeLicences } from './licences.ts';
import { installPlatform, nodeMajors, nodeOf, platforms, type Target } from './platform.ts';
import { goProxy, settingsFile } from './settings-file.ts';

const home = resolve(import.meta.dirname, '../..');

type Manifest = { readonly name: string; readonly version: string; readonly license: string };

const manifest = JSON.parse(readFileSync(join(home, 'package.json'), 'utf8')) as Manifest;

/** Past it the archive has something in it that it should not have. It has 47 MB. */
const ARCHIVE_BYTES_MAX = 60_000_000;

try {
  await main();
} catch (error) {
  process.stderr.write(`bundle: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      platform: { type: 'string', multiple: true, default: [...platforms] },
      node: { type: 'string', default: '22' },
      upstream: { type: 'string' },
      out: { type: 'string', default: join(home, 'dist') },
    },
  });
  const { text, warning } = settingsFile(values.upstream || goProxy());
  if (warning !== undefined) process.stderr.write(`bundle: ${warning}\n`);
  for (const name of values.platform) {
    const platform = platforms.find((one) => one === name);
    const node = nodeMajors.find((one) => one === values.node);
    if (node === undefined)
      throw new Error(`no Node ${JSON.stringify(values.node)}: ${nodeMajors.join(', ')}`);
    if (platform === undefined)
      throw new Error(`no platform ${JSON.stringify(name)}: ${platforms.join(', ')}`);
    const file = await bundle({ platform, node }, { settings: text, out: resolve(values.out) });
    process.stdout.write(`${file}  ${(statSync(file).size / 1e6).toFixed(1)} MB  sha256 ${sha256(file)}\n`);
  }
}

/** Builds one archive and returns its path. */
async function bundle(target: Target, { settings, out }: { settings: string; out: string }): Promise<string> {
  const title = `${manifest.name}-${versionOf(target)}-${target.platform}`;
  mkdirSync(join(home, '.cache/bundle'), { recursive: true });
  const parent = mkdtempSync(join(home, '.cache/bundle/stage-'));
  try {
    await fill(join(parent, title), target, settings);
    mkdirSync(out, { recursive: true });
    const file = join(out, `${title}.tar.gz`);
    pack(parent, title, file);
    if (statSync(file).size > ARCHIVE_BYTES_MAX)
      throw new Error(`${file} is over ${ARCHIVE_BYTES_MAX} bytes`);
    return file;
  } finally {
    rmSync(parent, { recursive: true });
  }
}

/** Another Node makes another version, so that both can lie beside each other. */
function versionOf({ node }: Target): string {
  return node === '22' ? manifest.version : `${manifest.version}-node${node}`;
}

/** Puts all that is in a bundle below `stage`. */
async function fill(stage: string, target: Target, settings: string): Promise<void> {
  const { platform } = target;
  const version = versionOf(target);
  const tree = installPlatform(home, target);
  const packages = await buildCode({ home, tree, target, version, out: stage });
  for (const name of ['cacheprog.mjs', 'cacheprog-main.cjs', 'connect-main.cjs', 'alone.cjs'])
    copy(join(home, 'dist', name), join(stage, 'dist', name));
  for (const name of readdirSync(join(home, 'dist/page')))
    copy(join(home, 'dist/page', name), join(stage, 'dist/page', name));
  copy(nodeOf(tree, platform), join(stage, 'node_modules', `node-${platform}`, 'bin/node'));
  const deployed = ['astera.service', 'remote.sh', 'nginx.conf', 'haproxy.cfg', 'Caddyfile', 'README.md'];
  for (const path of ['bin/astera', 'LICENSE', ...deployed.map((name) => `deploy/${name}`)]) {
    copy(join(home, path), join(stage, path));
  }
  writeFileSync(join(stage, 'astera.conf'), settings);
  const { name, license } = manifest;
  const shipped = { name, version, license, private: true, type: 'module' };
  writeFileSync(join(stage, 'package.json'), `${JSON.stringify(shipped, undefined, 2)}\n`);
  // Preact is in the page's file, which `npm run build` made.
  writeLicences([...packages, 'preact', `node-${platform}`], { trees: [tree, home], out: stage });
  writeSums(stage);
}

function copy(from: string, to: string): void {
  mkdirSync(join(to, '..'), { recursive: true });
  copyFileSync(from, to);
}
