// Goal: with a real project `go` gives the same through the cache program as with its own cache, to the byte; nothing is
// compiled twice, by this machine or by a second one.
// Method: a module of the corpus as the main module, the real server, and one client with Go's own cache to compare with.
// Whole projects, the standard library and linters: bench/cache-equality.ts.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Astera } from '../support/astera.ts';
import { assertEqualGo, compiles, corpusClient, exportsOf, type Step } from '../support/cache-equality.ts';
import { assertWhole } from '../support/cached-build.ts';
import { CHECKOUT } from '../support/corpus.ts';
import type { GoClient } from '../support/go.ts';
import { tempDir } from '../support/temp-dir.ts';

const PROGRAM = join(CHECKOUT, 'dist/cacheprog.mjs');
const PACKAGES = ['.', './cgo'];
const steps: readonly Step[] = [
  { args: ['build', ...PACKAGES] },
  { args: ['vet', '.'] },
  { args: ['test', '-c', '-o', 'toml.test', '.'], file: 'toml.test' },
  { args: ['build', '-o', 'program', './cgo'], file: 'program' },
];

test('a real project, cgo among its builds', { timeout: 600_000 }, async (t) => {
  const astera = await Astera.start({ upstream: 'off', flags: ['--sumdb', 'off'] });
  t.after(() => astera.dispose());
  const plain = await client(t, undefined, astera.url);
  const [firstDir, secondDir] = [join(tempDir(t), 'cache'), join(tempDir(t), 'cache')];
  const cached = await client(t, firstDir, astera.url);
  await assertEqualGo({ plain, cached }, { steps, packages: PACKAGES });
  assert.equal(await compiles(cached, 'build', ...PACKAGES), 0);
  assertWhole(firstDir);
  const second = await client(t, secondDir, astera.url);
  const packages = ['.'];
  assert.equal(await compiles(second, 'build', ...packages), 0);
  assert.deepEqual(await exportsOf(second, packages), await exportsOf(plain, packages));
  assertWhole(secondDir);
});

/** Without a directory: one with Go's own cache. */
async function client(t: TestContext, cacheDir: string | undefined, remote: string): Promise<GoClient> {
  const flags = `--cache-dir=${cacheDir} --remote=${remote} --close-wait=60s --remote-timeout=20s`;
  const program = cacheDir === undefined ? undefined : `${process.execPath} ${PROGRAM} ${flags}`;
  const go = await corpusClient('github.com/BurntSushi/toml@v1.6.0', program);
  t.after(() => go.dispose());
  return go;
}
