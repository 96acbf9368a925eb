// Question: where the set of a `go` command can't help, what does asking for it cost?
// Method: one server 20 ms away, which one machine fills with what net/http imports. Then machines with empty directories build
// in turns with and without `--prefetch`, each pair a case of its own that nobody has built: a project of another name, a file
// that has changed, another branch, other flags, another command. Wall seconds, medians; the ratio is that of the pairs.
// A command that finds its set is faster: that is the point of it. Goal: none is slower by over 5 %.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ASTERA } from '../test/support/astera.ts';
import type { GoClient } from '../test/support/go.ts';
import { SlowRelay } from '../test/support/slow-relay.ts';
import type { BenchOptions } from './support/bench-options.ts';
import { CacheServer, type Cost, cost, project } from './support/cache-ways.ts';
import { changeDeepPackage, takeDeepPackage } from './support/deep-package.ts';
import { median, megabytes, short, type Table, verdict } from './support/table.ts';

const DELAY_MS = 10;
const GOAL = { atMost: 1.05 };

type Case = {
  readonly name: string;
  /** Makes of a machine's project what nobody has built. @param mark another one for each machine */
  readonly change: (go: GoClient, mark: string) => Promise<void> | void;
  readonly args: (mark: string) => readonly string[];
};

const CASES: readonly Case[] = [
  {
    name: 'a project never seen',
    change: async (go, mark) => {
      const name = `never-seen.example/${mark}`;
      const module = (await go.run('list', '-m')).stdout.trim();
      await go.run('mod', 'edit', `-module=${name}`);
      replaceInMain(go, module, name);
    },
    args: () => ['build', '.'],
  },
  { name: 'a file changed', change: (go, mark) => changeDeepPackage(go, mark), args: () => ['build', '.'] },
  {
    name: 'another branch, with one package more',
    change: (go, mark) => replaceInMain(go, 'import (', `// ${mark}\nimport (\n\t_ "encoding/csv"`),
    args: () => ['build', '.'],
  },
  { name: 'other flags', change: () => {}, args: (mark) => ['build', `-tags=${mark}`, '.'] },
  {
    name: 'another command, with other flags',
    change: () => {},
    args: (mark) => ['vet', `-tags=${mark}`, '.'],
  },
];

type Figure = Cost & { readonly bytes: number };

export async function run({ isQuick }: BenchOptions): Promise<Table> {
  const scratch = mkdtempSync(join(tmpdir(), 'astera-bench-unseen-'));
  const server = await CacheServer.start('astera', scratch);
  const relay = await SlowRelay.start(server.url, DELAY_MS);
  const clients: GoClient[] = [];
  const machine = async (flags: string) => {
    const directory = mkdtempSync(join(scratch, 'machine-'));
    const program = `${ASTERA} cacheprog --cache-dir=${directory} --remote=${relay.url} --close-wait=60s --remote-timeout=30s ${flags}`;
    const go = await project('std', program);
    clients.push(go);
    await takeDeepPackage(go, 'std');
    return go;
  };
  const timed = async ({ change, args }: Case, flags: string, mark: string): Promise<Figure> => {
    const go = await machine(flags);
    await change(go, mark);
    const before = relay.bytesDown;
    const spent = await cost(go, ...args(mark));
    return { ...spent, bytes: relay.bytesDown - before };
  };
  try {
    await cost(await machine(''), 'build', '.');
    const rows: string[][] = [];
    for (const one of CASES) {
      const pairs: (readonly [without: Figure, beside: Figure])[] = [];
      for (let round = 0; round < (isQuick ? 3 : 9); round++)
        pairs.push([
          await timed(one, '--prefetch=0', `without${round}`),
          await timed(one, '', `with${round}`),
        ]);
      const ratio = median(pairs.map(([without, beside]) => beside.seconds / without.seconds));
      rows.push([
        one.name,
        told(pairs.map(([without]) => without)),
        told(pairs.map(([, beside]) => beside)),
        short(ratio),
        verdict(ratio, GOAL),
      ]);
    }
    return {
      title: 'Prefetch where it can help least, 20 ms away',
      columns: ['what', '--prefetch=0: s / CPU s; MB', 'with it', 'ratio of s', 'goal'],
      rows,
    };
  } finally {
    relay.stop();
    await server.stop();
    for (const go of clients) await go.dispose();
    rmSync(scratch, { recursive: true, force: true });
  }
}

function told(figures: readonly Figure[]): string {
  const of = (pick: (figure: Figure) => number) => median(figures.map(pick));
  const bytes = megabytes(of((figure) => figure.bytes));
  return `${short(of(({ seconds }) => seconds))} / ${short(of(({ cpuSeconds }) => cpuSeconds))}; ${bytes}`;
}

function replaceInMain(go: GoClient, from: string, to: string): void {
  const main = join(go.project, 'main.go');
  const text = readFileSync(main, 'utf8');
  if (!text.includes(from)) throw new Error(`main.go lacks ${from}`);
  writeFileSync(main, text.replaceAll(from, to));
}
