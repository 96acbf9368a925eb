/**
 * The bundles of this checkout, built once for all tests that need them.
 *
 * They lie below `.cache`, under a name made of all that goes into them, so that a later run builds them only after a change.
 * Their upstream is of no use: a test names its own.
 */

import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { CHECKOUT } from './corpus.ts';

export type Platform = 'linux-arm64' | 'linux-x64';

/** This machine's. */
export const HERE: Platform = process.arch === 'arm64' ? 'linux-arm64' : 'linux-x64';

/** The upstream in the settings of each. */
const BUNDLED_UPSTREAM = 'http://127.0.0.1:1';

/** The cache programs, which `npm run build` makes. */
export const PROGRAMS = ['cacheprog.mjs', 'cacheprog-main.cjs', 'connect-main.cjs', 'alone.cjs'].map(
  (name) => `dist/${name}`,
);

/** All that goes into a bundle, but for the packages' content, which the lock file stands for. */
const INPUTS = ['src', 'deploy', 'bin', 'LICENSE', 'package.json', 'package-lock.json', ...PROGRAMS];

const KEPT = join(CHECKOUT, '.cache/test-bundles');

/** The archive of `make bundle` for one platform. */
export function bundleOf(platform: Platform): string {
  const directory = join(KEPT, digestOfInputs());
  if (!existsSync(join(directory, platform))) {
    removeOthers(directory);
    mkdirSync(directory, { recursive: true });
    const part = mkdtempSync(join(KEPT, 'part-'));
    buildBundle({ out: part, platform });
    try {
      renameSync(part, join(directory, platform));
    } catch (error) {
      // Another run has built it meanwhile.
      rmSync(part, { recursive: true });
      if (!existsSync(join(directory, platform))) throw error;
    }
  }
  return archiveIn(join(directory, platform), platform);
}

/** Runs what `make bundle` runs, in this checkout or in another one, for a platform and a Node. */
export function buildBundle({
  out,
  platform,
  home = CHECKOUT,
  node = '22',
  umask = '022',
}: {
  readonly out: string;
  readonly platform: Platform;
  readonly home?: string;
  readonly node?: string;
  readonly umask?: string;
}): string {
  const main = join(home, 'deploy/bundle/build-main.ts');
  const options = ['--out', out, '--upstream', BUNDLED_UPSTREAM, '--node', node, '--platform', platform];
  const command = [process.execPath, '--disable-warning=ExperimentalWarning', main, ...options];
  execFileSync('sh', ['-c', 'umask "$1"; shift; exec "$@"', 'sh', umask, ...command], { stdio: 'pipe' });
  return archiveIn(out, platform);
}

/**
 * Unpacks an archive below `directory`, with another upstream in its settings. Its sums don't hold then.
 *
 * @returns its home
 */
export function unpackWith(archive: string, directory: string, upstream: string): string {
  execFileSync('tar', ['-xzf', archive, '-C', directory]);
  const home = join(directory, archive.replace(/^.*\/|\.tar\.gz$/g, ''));
  const settings = join(home, 'astera.conf');
  writeFileSync(settings, readFileSync(settings, 'utf8').replace(BUNDLED_UPSTREAM, upstream));
  return home;
}

function archiveIn(directory: string, platform: Platform): string {
  const name = readdirSync(directory).find((file) => file.endsWith(`-${platform}.tar.gz`));
  if (name === undefined) throw new Error(`no archive for ${platform} in ${directory}`);
  return join(directory, name);
}

function digestOfInputs(): string {
  const digest = createHash('sha256');
  for (const input of INPUTS) {
    const path = join(CHECKOUT, input);
    const files = statSync(path).isFile()
      ? ['']
      : readdirSync(path, { recursive: true, encoding: 'utf8' }).sort();
    for (const file of files.map((name) => join(path, name)).filter((file) => statSync(file).isFile())) {
      digest.update(`${file}\0`).update(readFileSync(file)).update('\0');
    }
  }
  return digest.digest('hex').slice(0, 32);
}

/** Bundles of earlier sources. */
function removeOthers(directory: string): void {
  if (existsSync(directory)) return;
  rmSync(KEPT, { recursive: true, force: true });
  mkdirSync(dirname(directory), { recursive: true });
}
