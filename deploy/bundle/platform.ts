/**
 * The packages of one platform, as npm installs them there, whatever platform this machine is.
 *
 * npm checks each package against `package-lock.json`. Nothing of it is run here, so no emulation is needed.
 */

import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** What a bundle can be built for; the name in its archive. */
export const platforms = ['linux-arm64', 'linux-x64'] as const;

export type Platform = (typeof platforms)[number];

/** The major versions of Node that a bundle can be built with. 22 is the one that the checkout runs on. */
export const nodeMajors = ['22', '24'] as const;

export type NodeMajor = (typeof nodeMajors)[number];

/** Where the packages are pinned, below the checkout. */
const pinnedIn: Readonly<Record<NodeMajor, string>> = { '22': '.', '24': 'deploy/node24' };

/** What a bundle is built for. */
export type Target = { readonly platform: Platform; readonly node: NodeMajor };

/** As Node and npm call it: `arm64` or `x64`. */
export function cpuOf(platform: Platform): string {
  return platform.slice('linux-'.length);
}

/**
 * Installs the packages of a target below `.cache/bundle`, unless they are there.
 *
 * @param home the checkout, absolute
 * @returns the directory that has `node_modules`, absolute
 * @throws {Error} npm failed, or is too old for another platform's packages
 */
export function installPlatform(home: string, { platform, node }: Target): string {
  const tree = join(home, '.cache/bundle', `node${node}`, platform);
  const pins = join(home, pinnedIn[node]);
  const stamp = join(tree, '.installed');
  const lock = createHash('sha256')
    .update(readFileSync(join(pins, 'package-lock.json')))
    .digest('hex');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === lock) return tree;
  rmSync(tree, { recursive: true, force: true });
  mkdirSync(tree, { recursive: true });
  copyFileSync(join(home, '.npmrc'), join(tree, '.npmrc'));
  for (const name of ['package.json', 'package-lock.json']) copyFileSync(join(pins, name), join(tree, name));
  const where = ['--os=linux', `--cpu=${cpuOf(platform)}`, '--libc=glibc'];
  const options = ['--omit=dev', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  execFileSync('npm', ['ci', ...options, ...where], { cwd: tree, stdio: ['ignore', 'ignore', 'inherit'] });
  if (!existsSync(nodeOf(tree, platform))) {
    throw new Error(`npm installed no Node for ${platform}: npm 10 or newer is needed for other platforms`);
  }
  writeFileSync(stamp, lock);
  return tree;
}

/** The Node binary of that platform. */
export function nodeOf(tree: string, platform: Platform): string {
  return join(tree, 'node_modules', `node-${platform}`, 'bin/node');
}
