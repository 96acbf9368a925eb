// Question: does a server hold that has to do everything at once?
// Method: an empty store; 40 real `go mod tidy` that yield (nice 19), as those on machines of their own do,
// an `astera import` of 300 MB through the server's socket, and a cold download of 300 MB.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Astera } from '../test/support/astera.ts';
import { AsteraCommand } from '../test/support/astera-command.ts';
import { ensureCorpus } from '../test/support/corpus.ts';
import { UpstreamProcess } from '../test/support/upstream-process.ts';
import { GoClients } from './support/go-clients.ts';
import { runHerd } from './support/herd.ts';
import { otherProject } from './support/projects.ts';
import { short, type Table } from './support/table.ts';
import { noiseModule, writeModules, zipPath } from './support/tree.ts';
import { costRows, watched } from './support/watched.ts';

const CLIENTS = 40;
const DOWNLOAD = noiseModule('download', 286);
const IMPORTED = Array.from({ length: 143 }, (_, at) => noiseModule(`import-${at}`, 2));

export async function run(): Promise<Table> {
  const upstream = await UpstreamProcess.start({ root: await ensureCorpus(), madeUp: [DOWNLOAD] });
  const project = await otherProject(upstream.url);
  const tree = await mkdtemp(join(tmpdir(), 'astera-mixed-'));
  await writeModules(tree, IMPORTED);
  const astera = await Astera.start({ upstream: upstream.url });
  const clients = await GoClients.create(astera.url, {
    count: CLIENTS,
    projects: [project.project],
    niceness: 19,
  });
  try {
    const { result, cost } = await watched(astera, () =>
      Promise.all([
        timed(() => clients.run('mod', 'tidy')),
        timed(() => importOf(astera, tree)),
        timed(async () => {
          const lists = [[zipPath(DOWNLOAD)]];
          return (await runHerd({ url: astera.url, lists, parallel: 1 })).errors;
        }),
      ]),
    );
    const names = [`${CLIENTS} tidies`, 'import of 300 MB', 'download of 300 MB'];
    return {
      title: 'Mixed: 40 tidies, an import and a 300 MB download at once',
      columns: ['what', 'figure', 'goal'],
      rows: [
        ...result.map(({ failed, ms }, at) => [
          `${names[at]}: s, failures`,
          `${short(ms / 1000)}, ${failed}`,
          '0 failures',
        ]),
        ...costRows(cost),
      ],
    };
  } finally {
    await clients.dispose();
    await project.dispose();
    await astera.dispose();
    await upstream.stop();
    await rm(tree, { recursive: true, force: true });
  }
}

/** @returns 1 if it failed */
async function importOf({ db }: Astera, tree: string): Promise<number> {
  const { code, stderr } = await new AsteraCommand(['import', '--db', db, tree]).exited;
  if (code !== 0) process.stderr.write(`import: ${stderr}\n`);
  return code === 0 ? 0 : 1;
}

async function timed(work: () => Promise<number>): Promise<{ failed: number; ms: number }> {
  const startedMs = performance.now();
  const failed = await work();
  return { failed, ms: performance.now() - startedMs };
}
