/**
 * How fast is our h1 hash of module zips, beside Go's dirhash.HashZip, each in one thread?
 *
 * Usage: node bench/h1.ts [DIR]. Takes every zip of a module below DIR, which has the layout of
 * `$(go env GOMODCACHE)/cache/download` (the default). Also compares the hashes: a difference, or
 * a zip that only one of the two accepts, is printed and makes the exit code 1.
 */

import { execFileSync } from 'node:child_process';
import { closeSync, fstatSync, openSync, readdirSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf } from '../src/core/errors.ts';
import type { ByteSource } from '../src/modzip/byte-source.ts';
import type { ZipOwner } from '../src/modzip/zip-check.ts';
import { hashZip } from '../src/modzip/zip-hash.ts';

type Run = { readonly sums: readonly string[]; readonly ms: number };

const root = process.argv[2] ?? join(goEnv('GOMODCACHE'), 'cache', 'download');
const names = readdirSync(root, { recursive: true, encoding: 'utf8' })
  .filter((name) => /\/@v\/[^/]+\.zip$/.test(name))
  .sort();
const files = names.map((name) => join(root, name));
const bytes = files.reduce((sum, file) => sum + sizeOf(file), 0);
console.log(`${files.length} zips, ${(bytes / 1e6).toFixed(1)} MB`);

const runs = { go: [hashAllInGo()], astera: [await hashAll()] };
for (let round = 1; round < 3; round++) {
  runs.go.push(hashAllInGo());
  runs.astera.push(await hashAll());
}
const go = fastest(runs.go);
const astera = fastest(runs.astera);
console.log(`go      ${megabytesPerSecond(go.ms)} MB/s of zip`);
console.log(
  `astera  ${megabytesPerSecond(astera.ms)} MB/s of zip, ${(go.ms / astera.ms).toFixed(2)} times Go`,
);
for (const [index, name] of names.entries()) {
  if (go.sums[index] === astera.sums[index]) continue;
  console.log(`differs: ${name}: go ${go.sums[index]}, astera ${astera.sums[index]}`);
  process.exitCode = 1;
}

function goEnv(name: string): string {
  return execFileSync('go', ['env', name], { encoding: 'utf8' }).trim();
}

function hashAllInGo(): Run {
  const output = execFileSync('go', ['run', '.'], {
    cwd: join(import.meta.dirname, 'h1'),
    env: { ...process.env, GOMAXPROCS: '1' },
    input: files.join('\n'),
    encoding: 'utf8',
    maxBuffer: 1 << 30,
  });
  const lines = output.trimEnd().split('\n');
  return { sums: lines.slice(0, -1), ms: Number(lines.at(-1)) };
}

async function hashAll(): Promise<Run> {
  const sums: string[] = [];
  const startMs = performance.now();
  for (const [index, file] of files.entries()) sums.push(await hashFile(file, ownerOf(names[index] ?? '')));
  return { sums, ms: performance.now() - startMs };
}

async function hashFile(file: string, owner: ZipOwner): Promise<string> {
  const descriptor = openSync(file, 'r');
  try {
    return hashZip(fileSource(descriptor), owner).h1;
  } catch (error) {
    return `error: ${messageOf(error)}`;
  } finally {
    closeSync(descriptor);
  }
}

/** Reads as the store's chunk rows would: each into bytes of its own. */
function fileSource(descriptor: number): ByteSource {
  return {
    size: fstatSync(descriptor).size,
    read(offset, length) {
      const bytes = Buffer.allocUnsafe(length);
      return bytes.subarray(0, readSync(descriptor, bytes, 0, length, offset));
    },
  };
}

function ownerOf(name: string): ZipOwner {
  const [escaped = '', file = ''] = name.split('/@v/');
  return { module: unescapeCapitals(escaped), version: unescapeCapitals(file.slice(0, -'.zip'.length)) };
}

function unescapeCapitals(escaped: string): string {
  return escaped.replace(/!([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

function sizeOf(file: string): number {
  const descriptor = openSync(file, 'r');
  const { size } = fstatSync(descriptor);
  closeSync(descriptor);
  return size;
}

function fastest(all: readonly Run[]): Run {
  return all.reduce((best, run) => (run.ms < best.ms ? run : best));
}

function megabytesPerSecond(ms: number): string {
  return (bytes / 1000 / ms).toFixed(0);
}
