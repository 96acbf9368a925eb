/** A made-up Go download cache on disk: what `go` leaves under cache/download, and what else lies there. */

import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type MadeUpModule, madeUpFiles } from './module-zip.ts';

/** Writes the files of `modules` below `root`, with the lists, locks and hashes that `go` keeps beside them. */
export function writeDownloadCache(root: string, modules: readonly MadeUpModule[]): void {
  for (const module of modules) {
    const { info, mod, zip } = madeUpFiles(module);
    const base = `${escaped(module.path)}/@v/${escaped(module.version)}`;
    writeTree(root, { [`${base}.info`]: info, [`${base}.mod`]: mod, [`${base}.zip`]: zip });
    writeTree(root, { [`${base}.lock`]: '', [`${base}.ziphash`]: 'h1:made=', [`${base}.partial`]: '' });
    writeTree(root, { [`${escaped(module.path)}/@v/list`]: 'v0.0.1\n' });
  }
  writeTree(root, { 'sumdb/sum.golang.org/lookup/x.example/a@v1.0.0': 'text\n' });
}

/** Files by path below `root`. */
export function writeTree(root: string, files: Readonly<Record<string, string | Uint8Array>>): void {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), content);
  }
}

/** Every regular file below `root`, by its path. */
export function readTree(root: string): Map<string, Buffer> {
  const paths = readdirSync(root, { recursive: true, encoding: 'utf8' }).sort();
  const files = paths.filter((path) => statSync(join(root, path)).isFile());
  return new Map(files.map((path) => [path, readFileSync(join(root, path))]));
}

/** What of a tree is a version's: `.info`, `.mod` and `.zip`. */
export function versionFiles(tree: ReadonlyMap<string, Buffer>): Map<string, Buffer> {
  return new Map([...tree].filter(([path]) => /\/@v\/[^/]+\.(info|mod|zip)$/.test(path)));
}

function escaped(plain: string): string {
  return plain.replace(/[A-Z]/g, (letter) => `!${letter.toLowerCase()}`);
}
