/**
 * The corpus: some thousand files of real modules, as a GOPROXY tree on disk.
 *
 * Filled once by the ordinary client: the real `go` command with whatever GOPROXY the machine has.
 * It holds what the projects under test/projects need and test/projects/extra.txt names, in pinned
 * versions, so that the local upstream serves a closed world that is the same everywhere.
 */

import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { cp, mkdir, mkdtemp, open, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** The checkout. */
export const CHECKOUT = join(import.meta.dirname, '../..');

/** The two projects: some 40 modules, and some 280. */
export const PROJECTS = ['small', 'large'] as const;
export type Project = (typeof PROJECTS)[number];

/** Where a project's go.mod, go.sum and main.go lie; never run `go` in it, copy it. */
export function projectDirectory(project: Project): string {
  return join(CHECKOUT, 'test/projects', project);
}

const MODULE_CACHE = join(CHECKOUT, '.cache/corpus');
const TREE = join(MODULE_CACHE, 'cache/download');
const STAMP = join(MODULE_CACHE, 'complete');

/** Which pins a filling was begun for. */
const STARTED = join(MODULE_CACHE, 'started');

/** The corpus of other pins, asked before the network: changing one pin fetches one module. */
const OLD_CACHE = join(CHECKOUT, '.cache/corpus-old');

/**
 * Fills the corpus if it isn't, and says where it is.
 *
 * An interrupted filling goes on where it was, because `go` keeps what it has; other pins start anew,
 * because what is listed must not depend on what was here before. Several processes may
 * call this at once: one fills, the others wait.
 *
 * @returns the root of a GOPROXY tree, such as `…/github.com/!azure/x/@v/v1.0.0.mod`
 */
export async function ensureCorpus(): Promise<string> {
  const stamp = await inputsDigest();
  while (!isComplete(stamp)) {
    await mkdir(MODULE_CACHE, { recursive: true });
    await withLock(`${MODULE_CACHE}.lock`, async () => {
      if (!isComplete(stamp)) await fill(stamp);
    });
  }
  return TREE;
}

/** One file of the corpus: its path in URLs before percent-encoding, and on disk below the root. */
export type CorpusFile = { readonly path: string; readonly size: number };

/** Every `.info`, `.mod` and `.zip`, sorted by path. */
export function corpusFiles(root: string): CorpusFile[] {
  return readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((path) => /\/@v\/v[^/]*\.(info|mod|zip)$/.test(path))
    .sort()
    .map((path) => ({ path, size: statSync(join(root, path)).size }));
}

function isComplete(stamp: string): boolean {
  return existsSync(STAMP) && readFileSync(STAMP, 'utf8') === stamp;
}

async function fill(stamp: string): Promise<void> {
  process.stderr.write(`filling the corpus in ${MODULE_CACHE}, once\n`);
  await beginWith(stamp);
  for (const project of PROJECTS) {
    await inScratch(async (directory) => {
      await cp(projectDirectory(project), directory, { recursive: true });
      await go(directory, ['mod', 'tidy', '-diff']);
      await go(directory, ['mod', 'download']);
    });
  }
  await inScratch(async (directory) => {
    await writeFile(join(directory, 'go.mod'), 'module example.com/extra\n\ngo 1.26\n');
    // `tidy` fetches no .info, and a version without one could not be listed.
    const wanted = new Set([...(await extraModules()), ...zipsWithoutInfo()]);
    if (wanted.size > 0) await go(directory, ['mod', 'download', ...wanted]);
  });
  for (const name of await readdir(MODULE_CACHE)) {
    if (name !== 'cache' && name !== 'started')
      await rm(join(MODULE_CACHE, name), { recursive: true, force: true });
  }
  await rename(STARTED, STAMP);
  await rm(OLD_CACHE, { recursive: true, force: true });
}

/** Leaves what an interrupted filling for the same pins brought; moves anything else aside. */
async function beginWith(stamp: string): Promise<void> {
  const begun = await readFile(STARTED, 'utf8').catch(() => undefined);
  if (begun === stamp) return;
  if (!existsSync(OLD_CACHE)) await rename(MODULE_CACHE, OLD_CACHE);
  await rm(MODULE_CACHE, { recursive: true, force: true });
  await mkdir(MODULE_CACHE, { recursive: true });
  await writeFile(STARTED, stamp);
}

async function extraModules(): Promise<string[]> {
  const text = await readFile(join(CHECKOUT, 'test/projects/extra.txt'), 'utf8');
  return text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
}

function zipsWithoutInfo(): string[] {
  return corpusFiles(TREE)
    .filter(({ path }) => path.endsWith('.zip'))
    .map(({ path }) => path.slice(0, -'.zip'.length))
    .filter((path) => !existsSync(join(TREE, `${path}.info`)))
    .map((path) => unescapeCapitals(path.replace('/@v/', '@')));
}

function unescapeCapitals(escaped: string): string {
  return escaped.replace(/!([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

async function go(directory: string, args: readonly string[]): Promise<void> {
  const { stdout: proxies } = await run('go', ['env', 'GOPROXY']);
  const env = {
    ...process.env,
    GOPROXY: existsSync(OLD_CACHE) ? `file://${OLD_CACHE}/cache/download,${proxies.trim()}` : proxies.trim(),
    GOMODCACHE: MODULE_CACHE,
    GOFLAGS: '-modcacherw',
    GOTOOLCHAIN: 'local',
  };
  await run('go', args, { cwd: directory, env, maxBuffer: 64 * 1024 * 1024 });
}

async function inScratch(work: (directory: string) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'astera-corpus-'));
  try {
    await work(directory);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** What the corpus depends on. */
async function inputsDigest(): Promise<string> {
  const digest = createHash('sha256').update(await readFile(join(CHECKOUT, 'test/projects/extra.txt')));
  for (const project of PROJECTS) {
    for (const name of ['go.mod', 'go.sum', 'main.go']) {
      digest.update(await readFile(join(projectDirectory(project), name)));
    }
  }
  return digest.digest('hex');
}

/** Runs `work` with `path` as a lock that dies with its process; returns without running it if another held it. */
async function withLock(path: string, work: () => Promise<void>): Promise<void> {
  const file = await open(path, 'wx').catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
    return undefined;
  });
  if (file === undefined) {
    await delay(200);
    if (!isAlive(Number(await readFile(path, 'utf8').catch(() => process.pid))))
      await rm(path, { force: true });
    return;
  }
  try {
    await file.writeFile(String(process.pid));
    await file.close();
    await work();
  } finally {
    await rm(path, { force: true });
  }
}

/** An empty lock file (pid 0) is one whose owner is about to write its pid. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
