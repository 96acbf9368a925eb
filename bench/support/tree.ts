/** A GOPROXY tree on disk: the corpus by symbolic links, and made-up modules as files. */

import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensureCorpus } from '../../test/support/corpus.ts';
import { type MadeUpModule, madeUpFiles } from '../../test/support/module-zip.ts';

export type Tree = { readonly root: string; readonly corpus: string; remove(): Promise<void> };

export async function makeTree(madeUp: readonly MadeUpModule[]): Promise<Tree> {
  const corpus = await ensureCorpus();
  const root = await mkdtemp(join(tmpdir(), 'astera-tree-'));
  for (const name of await readdir(corpus)) await symlink(join(corpus, name), join(root, name));
  await writeModules(root, madeUp);
  return { root, corpus, remove: () => rm(root, { recursive: true, force: true }) };
}

/**
 * One at a time: together they may be larger than memory.
 *
 * @returns their bytes
 */
export async function writeModules(root: string, modules: readonly MadeUpModule[]): Promise<number> {
  let total = 0;
  for (const module of modules) {
    const directory = join(root, module.path, '@v');
    await mkdir(directory, { recursive: true });
    for (const [kind, bytes] of Object.entries(madeUpFiles(module))) {
      await writeFile(join(directory, `${module.version}.${kind}`), bytes);
      total += bytes.byteLength;
    }
  }
  return total;
}

/** A made-up module of so many MiB; its name gives its purpose. */
export function noiseModule(name: string, mebibytes: number): MadeUpModule {
  return { path: `made-up.example/${name}`, version: 'v1.0.0', contentBytes: mebibytes * 1024 * 1024 };
}

/** Its zip's path in URLs. */
export function zipPath({ path, version }: MadeUpModule): string {
  return `${path}/@v/${version}.zip`;
}
