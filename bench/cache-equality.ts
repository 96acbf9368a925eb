// Question: does `go` give the same through the build cache program as with its own cache, and compile nothing twice?
// Method: the same commands with both, results, exit codes and bytes compared; then a second build, and one on a second
// machine with an empty directory, whose compile steps `go build -x` tells of. The standard library, three modules of the corpus,
// two of them with cgo, race and cover, and staticcheck as a reader of export files. Each part takes minutes: it is run by itself.
// `--quick`: the two modules that need little of the standard library, without race.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { messageOf } from '../src/core/errors.ts';
import { ASTERA } from '../test/support/astera.ts';
import {
  assertEqualGo,
  assertEqualLint,
  compiles,
  corpusClient,
  exportsOf,
  type Step,
} from '../test/support/cache-equality.ts';
import { assertWhole } from '../test/support/cached-build.ts';
import type { GoClient } from '../test/support/go.ts';
import type { BenchOptions } from './support/bench-options.ts';
import { CacheServer } from './support/cache-ways.ts';
import type { Table } from './support/table.ts';

type Part = {
  readonly name: string;
  /** Of the corpus, below its module cache; undefined: an empty project. */
  readonly source?: string;
  readonly steps: readonly Step[];
  readonly packages: readonly string[];
  readonly usesLinter?: true;
  /** It needs little of the standard library. */
  readonly isQuick?: true;
};

const PROJECT_STEPS: readonly Step[] = [
  { args: ['build', './...'] },
  { args: ['vet', './...'] },
  { args: ['test', './...'] },
  { args: ['test', '-cover', './...'] },
  { args: ['test', '-race', './...'] },
  { args: ['test', '-c', '-o', 'one.test', '.'], file: 'one.test' },
  { args: ['build', '-race', '-o', 'cgo', './cgo'], file: 'cgo' },
  { args: ['run', './cgo'] },
];

const MOD_PACKAGES = ['./modfile', './module', './semver'];

const parts: readonly Part[] = [
  {
    name: 'toml',
    source: 'github.com/BurntSushi/toml@v1.6.0',
    steps: PROJECT_STEPS,
    packages: ['./...'],
    usesLinter: true,
    isQuick: true,
  },
  {
    name: 'mod',
    source: 'golang.org/x/mod@v0.42.0',
    steps: [
      { args: ['build', ...MOD_PACKAGES] },
      { args: ['vet', ...MOD_PACKAGES] },
      { args: ['test', ...MOD_PACKAGES] },
    ],
    packages: MOD_PACKAGES,
    usesLinter: true,
    isQuick: true,
  },
  {
    name: 'chi',
    source: 'github.com/go-chi/chi/v5@v5.5.0',
    steps: PROJECT_STEPS,
    packages: ['./...'],
    usesLinter: true,
  },
  {
    name: 'std',
    steps: [
      { args: ['build', 'std'] },
      { args: ['vet', 'std'] },
      {
        args: [
          'test',
          '-short',
          'archive/...',
          'bufio',
          'bytes',
          'compress/...',
          'container/...',
          'encoding/...',
          'errors',
          'fmt',
          'go/...',
        ],
      },
      {
        args: [
          'test',
          '-short',
          'hash/...',
          'html/...',
          'io/...',
          'maps',
          'math/...',
          'path/...',
          'regexp/...',
          'slices',
          'sort',
          'strconv',
        ],
      },
      {
        args: [
          'test',
          '-short',
          'strings',
          'sync/...',
          'text/...',
          'unicode/...',
          'net/http/...',
          'crypto/...',
        ],
      },
    ],
    packages: ['std'],
  },
];

export async function run({ isQuick }: BenchOptions): Promise<Table> {
  const chosen = isQuick ? parts.filter((part) => part.isQuick).map(withoutRace) : parts;
  const directory = mkdtempSync(join(tmpdir(), 'astera-bench-equality-'));
  const server = await CacheServer.start('astera', directory);
  const rows: string[][] = [];
  try {
    for (const part of chosen) {
      const row = await measure(part, server.url, directory);
      process.stderr.write(`${row.join(' | ')}\n`);
      rows.push(row);
    }
  } finally {
    await server.stop();
    rmSync(directory, { recursive: true, force: true });
  }
  return {
    title: "The same as with Go's own cache",
    columns: [
      'what',
      'results and bytes',
      'compile steps of a second build',
      'of a second machine',
      'export files compared',
    ],
    rows,
  };
}

/** A race build of all that a program imports takes as long as the rest together. */
function withoutRace(part: Part): Part {
  return { ...part, steps: part.steps.filter(({ args }) => !args.includes('-race')) };
}

async function measure(part: Part, remote: string, directory: string): Promise<string[]> {
  const made: GoClient[] = [];
  const machine = async (cacheDir: string | undefined) => {
    const go = await client(part, cacheDir, remote);
    made.push(go);
    return go;
  };
  try {
    const plain = await machine(undefined);
    const firstDir = join(mkdtempSync(join(directory, 'first-')), 'cache');
    const cached = await machine(firstDir);
    const verdict = await assertEqualGo({ plain, cached }, part).then(
      () => 'equal',
      (error: unknown) => `**differ**: ${messageOf(error).slice(0, 2000)}`,
    );
    if (part.usesLinter === true) await assertEqualLint({ plain, cached }, ...part.packages);
    const again = await compiles(cached, 'build', ...part.packages);
    const secondDir = join(mkdtempSync(join(directory, 'second-')), 'cache');
    const second = await machine(secondDir);
    // What cgo made is not shared: its packages are compiled on each machine.
    const others = await compiles(second, 'build', ...part.packages);
    const exports = await exportsOf(second, part.packages);
    for (const one of [firstDir, secondDir]) assertWhole(one);
    return [part.name, verdict, String(again), String(others), String(exports.size)];
  } finally {
    await Promise.all(made.map((go) => go.dispose()));
  }
}

function client({ source }: Part, cacheDir: string | undefined, remote: string): Promise<GoClient> {
  const flags = `--cache-dir=${cacheDir} --remote=${remote} --close-wait=10m --remote-timeout=20s`;
  return corpusClient(source, cacheDir === undefined ? undefined : `${ASTERA} cacheprog ${flags}`);
}
