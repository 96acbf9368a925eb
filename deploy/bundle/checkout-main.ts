/**
 * The server's part of `npm run build`: `dist` of this checkout, with the same code that a bundle has.
 *
 * On another system than Linux with glibc, for which no bundle is made, `tsc` compiles each source to a file.
 */

import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { buildCode } from './code.ts';
import { type Platform, platforms } from './platform.ts';

const home = resolve(import.meta.dirname, '../..');
const dist = join(home, 'dist');

const platform = platforms.find((one) => one === `${process.platform}-${process.arch}`);
if (platform !== undefined && isGlibc()) await bundle(platform);
else execFileSync('npx', ['tsc', '-p', 'tsconfig.build.json'], { cwd: home, stdio: 'inherit' });

/** Made beside and moved: a server that runs has the old files open, or finds whole ones. */
async function bundle(platform: Platform): Promise<void> {
  const { version } = JSON.parse(readFileSync(join(home, 'package.json'), 'utf8')) as { version: string };
  const out = join(dist, '.new');
  rmSync(out, { recursive: true, force: true });
  await buildCode({ home, tree: home, target: { platform, node: '22' }, version, out });
  for (const name of readdirSync(dist)) {
    const isOfTsc = name !== 'page' && existsSync(join(home, 'src', name.replace(/\.js$/, '.ts')));
    if (isOfTsc || name === 'parts') rmSync(join(dist, name), { recursive: true });
  }
  renameSync(join(out, 'dist/parts'), join(dist, 'parts'));
  renameSync(join(out, 'dist/main.js'), join(dist, 'main.js'));
  rmSync(out, { recursive: true });
}

function isGlibc(): boolean {
  Object.assign(process.report, { excludeNetwork: true }); // It would ask for names of addresses.
  const { header } = process.report.getReport() as { header: { glibcVersionRuntime?: string } };
  return header.glibcVersionRuntime !== undefined;
}
