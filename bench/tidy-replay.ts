// Question: what do the requests of many `go mod tidy` at once cost the server, cold, and warm beside
// nginx serving the same files?
// Method: what one real tidy asks for, asked by as many clients, 8 requests each at a time, without the
// `go` command's own CPU, which hides all else in bench/tidy.ts; in turns with nginx, medians.

import { Astera } from '../test/support/astera.ts';
import { ensureCorpus, projectDirectory } from '../test/support/corpus.ts';
import { UpstreamProcess } from '../test/support/upstream-process.ts';
import { type HerdResult, runHerd } from './support/herd.ts';
import { Nginx } from './support/nginx.ts';
import { cpuMs } from './support/process-cost.ts';
import { tidyRequests } from './support/projects.ts';
import { median, megabytes, short, type Table } from './support/table.ts';
import { type WorkCost, watched } from './support/watched.ts';

const ROUNDS = 3;
const PARALLEL = 8;

const CASES = [
  { clients: 40, project: 'small', goal: '' },
  { clients: 8, project: 'large', goal: '2.5' },
] as const;

/** The cost of one herd. nginx has no event loop to measure, and no rows. */
type Sample = HerdResult & { readonly cpuMs: number; readonly cost?: WorkCost };

type Row = (string | number)[];

export async function run(): Promise<Table> {
  const root = await ensureCorpus();
  const nginx = await Nginx.start(root);
  const upstream = await UpstreamProcess.start({ root });
  const rows: Row[] = [];
  try {
    for (const { clients, project, goal } of CASES) {
      const paths = await tidyRequests(projectDirectory(project));
      const herd = { lists: Array.from({ length: clients }, () => paths), parallel: PARALLEL };
      const name = `${clients} × ${project}`;
      // A server each, so that the large project's bytes are not among the small one's leavings.
      const astera = await Astera.start({ upstream: upstream.url });
      try {
        rows.push([`${name}, cold`, 'astera', ...figures([await ofAstera(astera, herd)]), '', '']);
        const samples = { nginx: [] as Sample[], astera: [] as Sample[] };
        for (let round = 0; round < ROUNDS; round++) {
          samples.nginx.push(await ofNginx(nginx, herd));
          samples.astera.push(await ofAstera(astera, herd));
        }
        const ratio = cpuOf(samples.astera) / cpuOf(samples.nginx);
        rows.push([`${name}, warm`, 'nginx', ...figures(samples.nginx), '1', '']);
        rows.push([`${name}, warm`, 'astera', ...figures(samples.astera), short(ratio), goal]);
      } finally {
        await astera.dispose();
      }
    }
  } finally {
    await nginx.stop();
    await upstream.stop();
  }
  const load = ['requests', 'MB', 'errors', 'wall s', 'p99 ms', 'CPU s'];
  const own = ['SQLite reads', 'event loop p99 ms', 'its max ms', 'peak RssAnon MB'];
  return {
    title: 'Tidies, their requests alone',
    columns: ['', 'server', ...load, ...own, 'CPU ratio', 'goal'],
    rows,
  };
}

type Lists = { readonly lists: readonly (readonly string[])[]; readonly parallel: number };

async function ofNginx({ url, pids }: Nginx, herd: Lists): Promise<Sample> {
  const beforeMs = cpuMs(pids);
  const result = await runHerd({ url, ...herd });
  return { ...result, cpuMs: cpuMs(pids) - beforeMs };
}

async function ofAstera(astera: Astera, herd: Lists): Promise<Sample> {
  const { result, cost } = await watched(astera, () => runHerd({ url: astera.url, ...herd }));
  return { ...result, cpuMs: cost.cpuMs, cost };
}

function cpuOf(samples: readonly Sample[]): number {
  return median(samples.map((sample) => sample.cpuMs));
}

function figures(samples: readonly Sample[]): Row {
  const of = (field: Exclude<keyof Sample, 'cost'>) => median(samples.map((sample) => sample[field]));
  const costs = samples.flatMap(({ cost }) => cost ?? []);
  const own = (field: (cost: WorkCost) => number, format: (value: number) => string) =>
    costs.length === 0 ? '' : format(median(costs.map(field)));
  return [
    of('requests'),
    megabytes(of('bodyBytes')),
    samples.reduce((sum, { errors }) => sum + errors, 0),
    short(of('wallMs') / 1000),
    short(of('p99Ms')),
    short(cpuOf(samples) / 1000),
    own(({ reads }) => reads, String),
    own(({ loop }) => loop.p99Ms, short),
    own(({ loop }) => loop.maxMs, short),
    own(({ peakRssAnonBytes }) => peakRssAnonBytes, megabytes),
  ];
}
