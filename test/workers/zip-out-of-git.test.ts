// Goal: a builder thread makes the zip of a module out of Git, at the pace of who takes it, and no git outlives it: not
// when it is left, nor when the thread dies. What fails there fails here, with the same class.
// Method: a real pool of threads and a real repository of noise, which is larger than all buffers together; a `git` on the
// PATH that writes down its process ID first.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { NotFound, StoreFailed, UpstreamFailed } from '../../src/core/errors.ts';
import { CHUNK_BYTES, SMALL_BYTES_MAX } from '../../src/core/limits.ts';
import { buildZip, type ZipOrder } from '../../src/git/build-zip.ts';
import { GitFailed } from '../../src/git/git-command.ts';
import { BuilderPool } from '../../src/workers/builder-pool.ts';
import { gitIn, makeRepository } from '../git/repository-maker.ts';
import { madeUpFiles } from '../support/module-zip.ts';
import { tempDir } from '../support/temp-dir.ts';

const NOISE = randomBytes(4_000_000);
const paths = ['go.mod', 'noise', 'p.go'];

function rig(t: TestContext) {
  const directory = tempDir(t);
  const gitDir = join(directory, 'repository');
  makeRepository(gitDir, [
    { files: { 'go.mod': 'module corp.example/m\n', 'p.go': 'package p\n', noise: NOISE } },
  ]);
  const pidFile = join(directory, 'pid');
  const git = join(directory, 'git');
  writeFileSync(git, `#!/bin/sh\necho $$ >${pidFile}\nPATH=\${PATH#*:} exec git "$@"\n`);
  chmodSync(git, 0o755);
  const pool = new BuilderPool({ dbPath: join(directory, 'a.db'), threads: 1 });
  t.after(() => pool.close());
  const order: ZipOrder = {
    environment: { PATH: `${directory}:${process.env.PATH}`, HOME: directory },
    gitDir,
    hash: gitIn(gitDir, 'rev-parse', 'main').trim(),
    directory: '',
    paths,
    prefix: 'corp.example/m@v1.0.0/',
  };
  return { pool, order, pid: () => readFileSync(pidFile, 'utf8').trim() };
}

async function whole(zip: AsyncIterable<Buffer>): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of zip) pieces.push(piece);
  return Buffer.concat(pieces);
}

/** Whether a process runs; a dead one that nobody has waited for does not. */
function runs(pid: string): boolean {
  try {
    return !/^\d+ \(.*\) [ZX]/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

test('the thread makes the zip that this one would make', async (t) => {
  const { pool, order } = rig(t);
  const zip = await whole(pool.buildZip(order));
  assert.ok(zip.length > NOISE.length);
  assert.ok(zip.equals(await whole(buildZip(order))));
});

test('who leaves early ends git, and the thread goes on with other work', async (t) => {
  const { pool, order, pid } = rig(t);
  const zip = pool.buildZip(order);
  assert.equal((await zip.next()).value?.length, CHUNK_BYTES);
  assert.ok(runs(pid()));
  await zip.return();
  assert.ok(!runs(pid()));
  assert.ok((await whole(pool.buildZip(order))).length > NOISE.length);
});

test('a zip that nobody takes on does not hold up checks', async (t) => {
  const { pool, order } = rig(t);
  const zips = Array.from({ length: 8 }, () => pool.buildZip(order));
  await Promise.all(zips.map((zip) => zip.next()));
  const owner = { module: 'made-up.example/m', version: 'v1.0.0' };
  const { zip: bytes } = madeUpFiles({ path: owner.module, version: owner.version, contentBytes: 1_000 });
  await pool.call.checkZip({ ...owner, blob: 0, size: bytes.length, content: true, hash: false, bytes });
  await Promise.all(zips.map((zip) => zip.return()));
});

test('a thread that dies fails its zip, and git ends', async (t) => {
  const { pool, order, pid } = rig(t);
  const zip = pool.buildZip(order);
  await zip.next();
  assert.ok(runs(pid()));
  const failed = assert.rejects(
    whole(zip),
    (error) => error instanceof StoreFailed && /^cannot build: /.test(error.message),
  );
  await pool.close();
  await failed;
  while (runs(pid())) await setImmediate();
});

const failing: { why: string; order: Partial<ZipOrder>; error: (error: unknown) => boolean }[] = [
  {
    why: 'the repository is gone',
    order: { gitDir: '/nowhere' },
    error: (error) => error instanceof GitFailed && error.reason === 'gone',
  },
  {
    why: 'the commit is lost',
    order: { hash: '1'.repeat(40) },
    error: (error) => error instanceof GitFailed && error.reason === 'exit' && error.exitCode === 128,
  },
  {
    why: 'there is no git',
    order: { environment: { PATH: '/nowhere' } },
    error: (error) => error instanceof GitFailed && error.reason === 'missing',
  },
  {
    why: 'a file is missing',
    order: { paths: ['not.there'] },
    error: (error) => error instanceof UpstreamFailed,
  },
];

for (const { why, order: changed, error } of failing) {
  test(`a failure keeps its class: ${why}`, async (t) => {
    const { pool, order } = rig(t);
    await assert.rejects(whole(pool.buildZip({ ...order, ...changed })), error);
  });
}

test('a refusal keeps its class: a large LICENSE', async (t) => {
  const { pool, order } = rig(t);
  makeRepository(join(order.gitDir, 'other'), [{ files: { LICENSE: Buffer.alloc(SMALL_BYTES_MAX + 1) } }]);
  const gitDir = join(order.gitDir, 'other');
  const hash = gitIn(gitDir, 'rev-parse', 'main').trim();
  await assert.rejects(whole(pool.buildZip({ ...order, gitDir, hash, paths: ['LICENSE'] })), NotFound);
});
