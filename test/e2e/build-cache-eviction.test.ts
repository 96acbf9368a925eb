// Goal: real builds go on while the server drops build results for want of room, those that they just read among them: no build
// fails, each makes the right program, and the store keeps within its limit and is whole.
// Method: the least --max-size, and puts of results that nothing can pack while each build runs, nearly as many as there is room
// for. Machines with empty directories build a project, each by what is left on the server of the builds before it.

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { OUTPUT_ID_HEADER, TIME_HEADER } from '../../src/core/build-cache-wire.ts';
import { Astera, runAstera, total } from '../support/astera.ts';
import { assertWhole, buildClient, built, filesIn, programHash } from '../support/cached-build.ts';
import { CHECKOUT } from '../support/corpus.ts';
import { tempDir } from '../support/temp-dir.ts';
import { times } from '../support/times.ts';

const MIB = 1024 * 1024;
const LIMIT_BYTES = 32 * MIB;
const BODY_BYTES = 512 * 1024;
/** While each build runs: nearly as much as the store holds, so that what was used for longest goes, and not all. */
const PUTS = Math.round((0.9 * LIMIT_BYTES) / BODY_BYTES);
const BUILDS = times({ short: 2, long: 20 });

/** Puts results that nobody asks for. */
async function putOne({ url }: Astera): Promise<void> {
  const body = randomBytes(BODY_BYTES);
  const outputId = createHash('sha256').update(body).digest('hex');
  const actionId = randomBytes(32).toString('hex');
  const output = await fetch(`${url}/cache/output/${outputId}`, { method: 'PUT', body });
  assert.equal(output.status, 201, await output.text());
  const headers = { [OUTPUT_ID_HEADER]: outputId, [TIME_HEADER]: '1' };
  const action = await fetch(`${url}/cache/action/${actionId}`, { method: 'PUT', headers });
  // Without its output it is refused: that was dropped already.
  assert.ok([201, 404].includes(action.status), await action.text());
}

async function evicted(astera: Astera): Promise<number> {
  return (await astera.metrics()).get('astera_evicted_files_total{kind="output"}') ?? 0;
}

/** A build of a machine that has nothing: what it made, and how many packages it compiled. */
async function buildsAnew(t: TestContext, astera: Astera): Promise<{ hash: string; compiled: number }> {
  const cacheDir = join(tempDir(t), 'cache');
  const flags = [
    `--cache-dir=${cacheDir}`,
    `--remote=${astera.url}`,
    '--close-wait=60s',
    '--remote-timeout=20s',
  ];
  const program = [process.execPath, join(CHECKOUT, 'dist/cacheprog.mjs'), ...flags].join(' ');
  const go = await buildClient({ program });
  t.after(() => go.dispose());
  const { stderr } = await built(go, '-x');
  assert.doesNotMatch(stderr, /^astera/m);
  assertWhole(cacheDir);
  assert.ok(filesIn(join(cacheDir, 'output')).length > 20);
  return { hash: programHash(go), compiled: stderr.match(/\/compile /g)?.length ?? 0 };
}

test('go build through a server that drops results all the time', { timeout: 600_000 }, async (t) => {
  const astera = await Astera.start({
    upstream: 'off',
    flags: ['--sumdb=off', `--max-size=${LIMIT_BYTES / MIB}MiB`],
  });
  t.after(() => astera.dispose());
  const first = await buildsAnew(t, astera);
  assert.ok(first.compiled > 20);
  const { hash } = first;
  assert.deepEqual(await buildsAnew(t, astera), { hash, compiled: 0 }, 'as long as there is room');
  while ((await evicted(astera)) === 0) await putOne(astera);

  let largest = 0;
  const load = async () => {
    for (let put = 0; put < PUTS; put++) {
      await putOne(astera);
      largest = Math.max(largest, statSync(astera.db).size);
    }
  };
  const compiled: number[] = [];
  for (let build = 0; build < BUILDS; build++) {
    const before = await evicted(astera);
    const [made] = await Promise.all([buildsAnew(t, astera), load()]);
    assert.equal(made.hash, hash);
    compiled.push(made.compiled);
    assert.ok((await evicted(astera)) > before + PUTS / 2, 'results went while it ran');
  }
  t.diagnostic(`compiled ${compiled} of ${first.compiled}; largest ${largest / MIB} MiB`);
  assert.ok(
    compiled.some((count) => count > 0),
    'results of builds went too',
  );
  assert.ok(
    compiled.some((count) => count < first.compiled),
    'and others stayed',
  );
  assert.ok(largest < 1.05 * LIMIT_BYTES, `${largest} bytes`);
  assert.equal(total(await astera.metrics(), 'astera_worker_deaths_total'), 0);
  await astera.stop();
  const { code, stdout, stderr } = await runAstera(['verify', '--db', astera.db]);
  assert.equal(code, 0, `${stdout}${stderr}`);
});
