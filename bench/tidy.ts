// Question: what do forty machines cost when they run `go` at the same moment: the server's CPU, memory and
// disk, its event loop, and how long the machine makes others wait meanwhile?
// Method: 40 real `go` commands with empty caches on the server's own two cores, where they starve it as
// they would in no house; and cold ones that yield (nice 19), as those on machines of their own do. What the front
// thread waited for a core, as the kernel counts it, tells the one from the other.
// The store of the warm ones is dropped from the page cache first, so that its disk reads count.

import { statSync } from 'node:fs';
import { join } from 'node:path';
import { CHUNK_BYTES, INLINE_BYTES_MAX } from '../src/core/limits.ts';
import { Astera } from '../test/support/astera.ts';
import { ensureCorpus, projectDirectory } from '../test/support/corpus.ts';
import { UpstreamProcess } from '../test/support/upstream-process.ts';
import { GoClients } from './support/go-clients.ts';
import { dropFromPageCache } from './support/page-cache.ts';
import type { ProcessIo } from './support/process-cost.ts';
import { otherProject, tidyRequests } from './support/projects.ts';
import { megabytes, short, type Table } from './support/table.ts';
import { costRows, type WorkCost, watched } from './support/watched.ts';

const CLIENTS = 40;
const SMALL = projectDirectory('small');

type Phase = {
  readonly name: string;
  readonly args: readonly string[];
  readonly projects: readonly string[];
  readonly niceness?: number;
};

type Outcome = WorkCost & { readonly failed: number };

export async function run(): Promise<Table> {
  const root = await ensureCorpus();
  const upstream = await UpstreamProcess.start({ root });
  const other = await otherProject(upstream.url);
  const tidy = { args: ['mod', 'tidy'], projects: [SMALL] };
  try {
    const first = await Astera.start({ upstream: upstream.url });
    const outcomes = new Map<string, Outcome>();
    const note = async (astera: Astera, phase: Phase) =>
      outcomes.set(phase.name, await goAtOnce(astera, phase));
    try {
      await note(first, { name: 'cold', ...tidy });
      await first.stop();
      await dropFromPageCache(first.db);
      const again = await Astera.start({ upstream: upstream.url, db: first.db });
      await note(again, { name: 'warm', ...tidy });
      const update = { args: ['get', '-u', './...'], projects: [other.project] };
      await note(again, { name: '`go get -u ./...` of another project', ...update });
      await again.dispose();
    } finally {
      await first.dispose();
    }
    const cold = async (phase: Phase) => {
      const astera = await Astera.start({ upstream: upstream.url });
      await note(astera, phase).finally(() => astera.dispose());
    };
    await cold({ name: 'cold, clients yield', ...tidy, niceness: 19 });
    const projects = [SMALL, other.project];
    await cold({ name: 'cold, half another project, clients yield', ...tidy, projects, niceness: 19 });
    const paths = await tidyRequests(SMALL);
    return table(
      outcomes,
      paths.map((path) => statSync(join(root, path)).size),
    );
  } finally {
    await other.dispose();
    await upstream.stop();
  }
}

async function goAtOnce(astera: Astera, { args, ...clientsOf }: Phase): Promise<Outcome> {
  const clients = await GoClients.create(astera.url, { count: CLIENTS, ...clientsOf });
  try {
    const { result: failed, cost } = await watched(astera, () => clients.run(...args));
    return { ...cost, failed };
  } finally {
    await clients.dispose();
  }
}

/** @param sizes of the files that one tidy asks for */
function table(outcomes: ReadonlyMap<string, Outcome>, sizes: readonly number[]): Table {
  const bytes = sizes.reduce((sum, size) => sum + size, 0);
  const chunks = sizes.reduce(
    (sum, size) => sum + (size > INLINE_BYTES_MAX ? Math.ceil(size / CHUNK_BYTES) : 0),
    0,
  );
  const costs = [...outcomes.values()].map((outcome) => costRows(outcome));
  const perClient = (of: (io: ProcessIo) => number) =>
    [...outcomes.values()].map(({ io }) => short(of(io) / CLIENTS / 1000));
  return {
    title: `${CLIENTS} at once: \`go mod tidy\` of the small project, client caches empty`,
    note: `A tidy asks for ${sizes.length} files, ${megabytes(bytes)} MB: ${sizes.length} entries and ${chunks} chunks. Goals: cold event loop; warm reads at most ${sizes.length + chunks} and ${megabytes(1.1 * bytes)} MB of disk.`,
    columns: ['', ...outcomes.keys(), 'goal'],
    rows: [
      ['failed', ...[...outcomes.values()].map(({ failed }) => failed), '0'],
      ...(costs[0] ?? []).map(([what, , goal], at) => [
        what,
        ...costs.map((rows) => rows[at]?.[1] ?? ''),
        goal,
      ]),
      ['disk read, kB per client', ...perClient((io) => io.diskReadBytes), ''],
      ['disk written, kB per client', ...perClient((io) => io.diskWrittenBytes), ''],
    ],
  };
}
