// Question: how much does a build cache program add to a warm build and to a short command?
// Method: the large project as a library, so that nothing is linked: its packages and all they import, compiled once by each
// way. Then warm builds and `go list .` in turns, so that a noisy moment hits them all; medians. CGO is off. The way through
// `connect` has one server for all its commands. go-cacher is bradfitz/go-tool-cache's, with a directory only.

import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { ASTERA } from '../test/support/astera.ts';
import { CHECKOUT, ensureCorpus } from '../test/support/corpus.ts';
import { GoClient } from '../test/support/go.ts';
import type { BenchOptions } from './support/bench-options.ts';
import { median, short, type Table, verdict } from './support/table.ts';

const GO_CACHER = join(CHECKOUT, '.cache/go-cacher/go-cacher');
const BUILDS = 11;
const LISTS = 21;

/** What a short command may cost more by each way, in ms. */
const LIST_GOALS: Readonly<Record<string, number>> = { 'astera cacheprog': 60, 'astera connect': 45 };
/** And a warm build than go-cacher's. */
const BUILD_GOAL_MS = 60;

type Way = {
  readonly name: string;
  readonly go: GoClient;
  readonly buildMs: number[];
  readonly listMs: number[];
};

export async function run({ isQuick }: BenchOptions): Promise<Table> {
  const root = await ensureCorpus();
  await promisify(execFile)(
    'go',
    ['build', '-o', GO_CACHER, 'github.com/bradfitz/go-tool-cache/cmd/go-cacher'],
    {
      cwd: join(CHECKOUT, 'bench/go-cacher'),
    },
  );
  const directory = mkdtempSync(join(tmpdir(), 'astera-bench-cacheprog-'));
  const ours = join(directory, 'astera');
  const server = await startServer(ours);
  const ways: Way[] = [];
  try {
    for (const [name, program] of [
      ["Go's own", ''],
      ['go-cacher', `${GO_CACHER} --cache-dir=${join(directory, 'go-cacher')}`],
      ['astera cacheprog', `${ASTERA} cacheprog --cache-dir=${ours}`],
      ['astera connect', `${ASTERA} connect ${server.port}`],
    ] as const) {
      const go = await project(root, program);
      ways.push({ name, go, buildMs: [], listMs: [] });
      await timed(go, 'build', '.');
    }
    const packages = (await ways[0]?.go.run('list', '-deps', '.'))?.stdout.trimEnd().split('\n').length ?? 0;
    for (let round = 0; round < (isQuick ? 3 : BUILDS); round++) {
      for (const { go, buildMs } of ways) buildMs.push(await timed(go, 'build', '.'));
    }
    for (let round = 0; round < (isQuick ? 3 : LISTS); round++) {
      for (const { go, listMs } of ways) listMs.push(await timed(go, 'list', '.'));
    }
    return table(ways, packages);
  } finally {
    server.child.kill('SIGTERM');
    await Promise.all(ways.map(({ go }) => go.dispose()));
    rmSync(directory, { recursive: true, force: true });
  }
}

function table(ways: readonly Way[], packages: number): Table {
  const buildOf = (name: string) => median(ways.find((way) => way.name === name)?.buildMs ?? []);
  const ownList = median(ways[0]?.listMs ?? []);
  return {
    title: 'What a build cache program adds',
    note: `A warm build of ${packages} packages.`,
    columns: [
      'way',
      "warm build, times Go's own",
      'ms more than go-cacher',
      '`go list .`, ms added',
      'goal of the build',
      'of the list',
    ],
    rows: ways.map(({ name, buildMs, listMs }) => {
      const more = median(buildMs) - buildOf('go-cacher');
      const added = median(listMs) - ownList;
      const goal = LIST_GOALS[name];
      const cells = [name, short(median(buildMs) / buildOf("Go's own")), short(more), short(added)];
      if (goal === undefined) return [...cells, '', ''];
      return [
        ...cells,
        verdict(more, { atMost: BUILD_GOAL_MS }, ' ms'),
        verdict(added, { atMost: goal }, ' ms'),
      ];
    }),
  };
}

async function project(root: string, program: string): Promise<GoClient> {
  const env = { CGO_ENABLED: '0', GOFLAGS: '-trimpath -mod=mod', GOMODCACHE: join(root, '../..') };
  const go = await GoClient.create('off', {
    env: { ...env, ...(program !== '' && { GOCACHEPROG: program }) },
  });
  await go.take('large', 'whole');
  const main = join(go.project, 'main.go');
  const text = readFileSync(main, 'utf8');
  writeFileSync(main, text.replace('package main', 'package large').replace('func main() {}', ''));
  return go;
}

async function startServer(cacheDir: string): Promise<{ child: ChildProcess; port: string }> {
  const child = spawn(ASTERA, ['serve', '--plugin=0', `--cache-dir=${cacheDir}`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = await once(createInterface({ input: child.stdout }), 'line');
  return { child, port: String(line).replace(/^.*:/, '') };
}

/** In ms. @throws {Error} the command fails, or says anything on stderr */
async function timed(go: GoClient, ...args: readonly string[]): Promise<number> {
  const startedMs = performance.now();
  const { code, stderr } = await go.run(...args);
  if (code !== 0 || stderr !== '') throw new Error(`go ${args.join(' ')}: ${stderr}`);
  return performance.now() - startedMs;
}
