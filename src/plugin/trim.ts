/**
 * Trimming of a cache directory, by last use and by size. At most once an hour for each directory, whoever uses it.
 */

import * as fs from 'node:fs';
import { join } from 'node:path';
import { FILTER, NAMESPACES, VERSIONS } from './cache-directory.ts';
import { PLUGIN_KEPT_MS_MIN } from './limits.ts';

export type TrimBounds = { readonly expiryMs: number; readonly bytesMax: number };

/** Trims where the last time is an hour ago: reading a whole directory takes a while. Never rejects. */
export async function trimIfDue(directory: string, bounds: TrimBounds, nowMs: number): Promise<void> {
  const stamp = join(directory, 'trimmed');
  try {
    const trimmedAtMs = fs.statSync(stamp, { throwIfNoEntry: false })?.mtimeMs ?? 0;
    if (nowMs - trimmedAtMs < TRIM_MS) return;
    fs.mkdirSync(directory, { recursive: true });
    fs.writeFileSync(stamp, '');
    await trimDirectory(directory, bounds, nowMs);
  } catch {
    // A directory that can't be written does not grow either.
  }
}

/**
 * Removes what was not used for `expiryMs`, then the least used until outputs have at most `bytesMax`. Keeps what was
 * used within the last day, whatever the settings: another process may be building with it.
 */
export async function trimDirectory(
  directory: string,
  { expiryMs, bytesMax }: TrimBounds,
  nowMs: number,
): Promise<void> {
  const oldestMs = nowMs - Math.max(expiryMs, PLUGIN_KEPT_MS_MIN);
  for (const { path } of await listFiles(join(directory, 'tmp'))) removeUnused(path, oldestMs);
  await trimNamespace(directory, oldestMs);
  for (const name of readNames(join(directory, NAMESPACES))) {
    const own = join(directory, NAMESPACES, name);
    await trimNamespace(own, oldestMs);
    removeEmpty(own);
  }
  const outputs = (await listFiles(join(directory, 'output'))).sort((a, b) => a.usedAtMs - b.usedAtMs);
  let bytes = outputs.reduce((sum, { size }) => sum + size, 0);
  for (const { path, size } of outputs) {
    const unusedSinceMs = bytes > bytesMax ? nowMs - PLUGIN_KEPT_MS_MIN : oldestMs;
    if (removeUnused(path, unusedSinceMs)) bytes -= size;
  }
}

/** Of a namespace's own directory: a spool that is as old was left by all later commands. */
const KINDS: readonly string[] = ['action', 'sessions', 'spool', VERSIONS];

async function trimNamespace(own: string, oldestMs: number): Promise<void> {
  for (const kind of KINDS) {
    for (const { path } of await listFiles(join(own, kind))) removeUnused(path, oldestMs);
  }
  for (const name of readNames(own)) if (name.startsWith(FILTER)) removeUnused(join(own, name), oldestMs);
}

/** Branches and pull requests come and go, and each may have had a namespace. A writer makes its directory again. */
function removeEmpty(own: string): void {
  for (const kind of KINDS) {
    for (const name of readNames(join(own, kind))) removeDirectory(join(own, kind, name));
    removeDirectory(join(own, kind));
  }
  removeDirectory(own);
}

/** Where it is one, and empty. */
function removeDirectory(path: string): void {
  try {
    fs.rmdirSync(path);
  } catch {
    // It has files.
  }
}

const TRIM_MS = 3_600_000;

type FoundFile = { readonly path: string; readonly size: number; readonly usedAtMs: number };

/** The files of a directory and of those in it. Others get their turn after each of these: a server trims too. */
async function listFiles(directory: string): Promise<FoundFile[]> {
  const found: FoundFile[] = [];
  const look = (path: string): boolean => {
    const stat = fs.lstatSync(path, { throwIfNoEntry: false });
    if (stat?.isFile()) found.push({ path, size: stat.size, usedAtMs: stat.mtimeMs });
    return stat?.isDirectory() === true;
  };
  for (const name of readNames(directory)) {
    const path = join(directory, name);
    if (!look(path)) continue;
    for (const inner of readNames(path)) look(join(path, inner));
    await new Promise((resolve) => setImmediate(resolve));
  }
  return found;
}

function readNames(directory: string): string[] {
  try {
    return fs.readdirSync(directory);
  } catch {
    return [];
  }
}

/** Looks once more: the use may have been noted since the directory was read. */
function removeUnused(path: string, oldestMs: number): boolean {
  try {
    if (fs.lstatSync(path).mtimeMs >= oldestMs) return false;
    fs.unlinkSync(path);
    return true;
  } catch {
    return false;
  }
}
