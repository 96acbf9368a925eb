// Goal: a real download cache of over 500 versions goes in and comes out byte for byte, killed ten times on
// either way; `go` works with what came out; and none of it, nor a warm, is noticed by a server's clients.
// Method: the corpus and the real commands, killed as they get on; the real `go` over file://; clients that
// ask a real server all the while.

import assert from 'node:assert/strict';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, type TestContext, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { assertWhole } from '../store/stores.ts';
import { Astera, type Exit, runAstera } from '../support/astera.ts';
import { AsteraCommand } from '../support/astera-command.ts';
import { type CorpusFile, corpusFiles, ensureCorpus, projectDirectory } from '../support/corpus.ts';
import { writeDownloadCache } from '../support/download-cache.ts';
import { GoClient } from '../support/go.ts';
import { LocalUpstream } from '../support/local-upstream.ts';
import { tempDir } from '../support/temp-dir.ts';
import { times } from '../support/times.ts';

const KILLS = times({ short: 4, long: 10 });

let root: string;
let files: CorpusFile[];
let bytes: number;
const directory = tempDir({ after });
/** Filled by the first test, read by those behind it. */
const db = join(directory, 'a.db');
const out = join(directory, 'out');

before(async () => {
  root = await ensureCorpus();
  files = corpusFiles(root);
  bytes = files.reduce((sum, { size }) => sum + size, 0);
});

test('the corpus goes in, killed at many moments on its way', async () => {
  const versions = new Set(files.map(({ path }) => path.replace(/\.(info|mod|zip)$/, '')));
  assert.ok(versions.size >= 500, `${versions.size} module versions`);
  const size = () => statSync(db, { throwIfNoEntry: false })?.size ?? 0;
  const killed = await killOften(['import', '--db', db, root], size);
  assert.ok(killed >= KILLS / 2, `met in the middle only ${killed} times`);
  const { code, stdout, stderr } = await runAstera(['import', '--db', db, root]);
  assert.deepEqual([code, stderr], [0, '']);
  assert.match(stdout, / [1-9][0-9]* were stored before\n$/, 'it went on');
  assertWhole(db);
});

test('and comes out the same, killed at many moments: never is a file half', async () => {
  const written = () => {
    let sum = 0;
    for (const { path, size } of files) if (existsSync(join(out, path))) sum += size;
    return sum;
  };
  const killed = await killOften(['export', '--db', db, out], written, () =>
    assert.deepEqual(
      differing(({ path }) => existsSync(join(out, path))),
      [],
    ),
  );
  assert.ok(killed >= KILLS / 2, `met in the middle only ${killed} times`);
  const { code, stdout } = await runAstera(['export', '--db', db, out]);
  assert.equal(code, 0);
  assert.match(stdout, / [1-9][0-9]* were there before; GOPROXY=file:/, 'it went on');
  assert.deepEqual(
    differing(() => true),
    [],
  );
});

test('the large project downloads and tidies with it as its only proxy, as with the real one', async (t) => {
  const go = await GoClient.create(pathToFileURL(out).href);
  t.after(() => go.dispose());
  await go.take('large', 'whole');
  // The project's files are what a tidy with the real one leaves: the corpus was filled so.
  const before = await go.moduleFiles();
  for (const command of ['download', 'tidy']) {
    const { code, stderr } = await go.run('mod', command);
    assert.equal(code, 0, `${command}: ${stderr}`);
  }
  assert.deepEqual(await go.moduleFiles(), before);
});

test('import, export and warm beside a server under load: no client fails', async (t) => {
  const upstream = await LocalUpstream.start({ root });
  t.after(() => upstream.close());
  const server = await Astera.start({ upstream: upstream.url, db, flags: ['--verify', 'off'] });
  t.after(() => server.dispose());
  const more = join(directory, 'more');
  const modules = Array.from({ length: 40 }, (_, i) => ({
    path: `m${i}.example/more`,
    version: 'v1.0.0',
    contentBytes: i % 4 === 0 ? 4_000_000 : 50_000,
  }));
  writeDownloadCache(more, modules);
  // What warm has to fetch anew.
  await runAstera(['forget', '--db', db, 'github.com/spf13/viper']);
  const works: { name: string; args: string[] }[] = [
    { name: 'import', args: [more] },
    { name: 'export', args: [join(directory, 'other')] },
    { name: 'warm', args: [join(projectDirectory('large'), 'go.sum')] },
  ];
  for (const { name, args } of works) {
    const { answers, exit } = await underLoad(t, server, runAstera([name, '--db', db, ...args]));
    assert.equal(exit.code, 0, `${name}: ${exit.stderr}`);
    assert.ok(answers > 100, `${name}: only ${answers} answers meanwhile`);
  }
  await server.stop();
  assertWhole(db);
});

/** Runs a command again and again, each time killed further on. @returns how often it was met before its end */
async function killOften(args: string[], doneBytes: () => number, look = () => {}): Promise<number> {
  let killed = 0;
  for (let moment = 1; moment <= KILLS; moment++) {
    const due = (bytes * moment) / (KILLS + 2);
    const { code } = await new AsteraCommand(args).stopWhen(() => doneBytes() >= due, 'SIGKILL');
    if (code === null) killed++;
    look();
  }
  return killed;
}

/** Files that are not as they were. */
function differing(wanted: (file: CorpusFile) => boolean): string[] {
  const same = ({ path }: CorpusFile) =>
    existsSync(join(out, path)) && readFileSync(join(out, path)).equals(readFileSync(join(root, path)));
  return files.flatMap((file) => (wanted(file) && !same(file) ? [file.path] : []));
}

/** Clients that ask for all kinds of files until `work` has ended. */
async function underLoad(
  t: TestContext,
  server: Astera,
  work: Promise<Exit>,
): Promise<{ answers: number; exit: Exit }> {
  const asked = files.filter(({ size }) => size < 2_000_000 && size > 0);
  let [answers, isOver, next] = [0, false, 0];
  const client = async () => {
    while (!isOver) {
      const file = asked[next++ % asked.length];
      assert.ok(file);
      const answer = await server.get(file.path);
      const { byteLength } = await answer.arrayBuffer();
      assert.deepEqual([answer.status, byteLength], [200, file.size], file.path);
      answers++;
    }
  };
  const clients = Array.from({ length: 16 }, client);
  const exit = await work.finally(() => {
    isOver = true;
  });
  await Promise.all(clients);
  const loop = (await server.metrics()).get('astera_event_loop_delay_seconds{quantile="p99"}');
  t.diagnostic(`${answers} answers, event loop p99 ${((loop ?? 0) * 1000).toFixed(1)} ms`);
  return { answers, exit };
}
