// Question: what do forty machines cost that run `go` at the same moment: the server's CPU, memory and
// disk, its event loop, and how long the machine makes others wait meanwhile?
// Method: 40 real `go` commands with empty caches on the server's own two cores, where they starve it as
// they would in no house; the last as forty that yield (nice 19), as those on machines of their own do.
// The store of the warm ones is dropped from the page cache first, so that its disk reads count.

import { statSync } from 'node:fs';
import { join } from 'node:path';
import { CHUNK_BYTES, INLINE_BYTES_MAX } from '../src/core/limits.ts';
import { Astera } from '../test/support/astera.ts';
import { ensureCorpus, projectDirectory } from '../test/support/corpus.ts';
import { UpstreamProcess } from '../test/support/upstream-process.ts';
import { GoClients } from './support/go-clients.ts';
import { dropFromPageCache } from './support/page-cache.ts';
import { otherProject, tidyRequests } from './support/projects.ts';
import { megabytes, short, type Table } from './support/table.ts';
import { type WorkCost, watched } from './support/watched.ts';

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
      await note(again, { name: '`go get -u ./...`', args: ['get', '-u', './...'], projects: [SMALL] });
      await again.dispose();
    } finally {
      await first.dispose();
    }
    const astera = await Astera.start({ upstream: upstream.url });
    const projects = [SMALL, other.project];
    await note(astera, {
      name: 'cold, half another project, clients yield',
      ...tidy,
      projects,
      niceness: 19,
    });
    await astera.dispose();
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
  const seconds = (ms: number) => short(ms / 1000);
  const each = (of: (outcome: Outcome) => string | number) => [...outcomes.values()].map(of);
  return {
    title: `${CLIENTS} at once: \`go mod tidy\` of the small project, client caches empty`,
    note: `A tidy asks for ${sizes.length} files, ${megabytes(bytes)} MB: ${sizes.length} entries and ${chunks} chunks.`,
    columns: ['', ...outcomes.keys(), 'goal'],
    rows: [
      ['wall s (the clients take the machine)', ...each(({ wallMs }) => seconds(wallMs)), ''],
      ['failed', ...each(({ failed }) => failed), '0'],
      ['server CPU s', ...each((one) => seconds(one.cpuMs)), ''],
      ['peak RssAnon MB', ...each((one) => megabytes(one.peakRssAnonBytes)), '256'],
      ['file-backed MB at the end', ...each((one) => megabytes(one.rssFileBytes)), ''],
      ['event loop p50 ms', ...each(({ loop }) => short(loop.p50Ms)), ''],
      ['event loop p99 ms', ...each(({ loop }) => short(loop.p99Ms)), '10 (cold)'],
      ['event loop max ms', ...each(({ loop }) => short(loop.maxMs)), '50 (cold)'],
      ['1 ms ticker beside it, p99 ms late', ...each(({ ticker }) => short(ticker.p99Ms)), ''],
      ['the same, max', ...each(({ ticker }) => short(ticker.maxMs)), ''],
      [
        'disk read, MB in all',
        ...each(({ io }) => megabytes(io.diskReadBytes)),
        `${megabytes(1.1 * bytes)} (warm)`,
      ],
      ['disk written, MB in all', ...each(({ io }) => megabytes(io.diskWrittenBytes)), ''],
      ['disk read, kB per client', ...each(({ io }) => perClient(io.diskReadBytes)), ''],
      ['disk written, kB per client', ...each(({ io }) => perClient(io.diskWrittenBytes)), ''],
      ['rchar, MB per client', ...each(({ io }) => megabytes(io.callReadBytes / CLIENTS)), ''],
      ['wchar, MB per client', ...each(({ io }) => megabytes(io.callWrittenBytes / CLIENTS)), ''],
      ['SQLite reads', ...each(({ reads }) => reads), `${sizes.length + chunks} (warm)`],
    ],
  };
}

function perClient(bytes: number): string {
  return short(bytes / CLIENTS / 1000);
}
