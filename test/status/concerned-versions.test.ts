// Goal: one look into the store serves all for a while; a client gets the modules that it may read, and how many more.
// Method: a finder that counts, and a clock that the test moves.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StoreFailed } from '../../src/core/errors.ts';
import { type ModulePath, parseModulePath } from '../../src/core/module-path.ts';
import { ConcernedVersions } from '../../src/status/concerned-versions.ts';
import { CONCERNED_KEPT_MS, CONCERNED_SHOWN_MAX } from '../../src/status/limits.ts';
import { FakeClock } from '../support/fakes.ts';

const row = (module: string, at = 0) => ({
  ...{
    module: parseModulePath(module),
    version: `v1.${at}.0`,
    id: 'GO-2024-1',
    summary: '',
    fixed: undefined,
  },
});

const all = () => true;

test('a look is kept for a while, but not that there is no database, nor a failure', async () => {
  const clock = new FakeClock();
  const finds: (string | undefined | Error)[] = [undefined, new StoreFailed('gone'), '2024', '2025'];
  const concerned = new ConcernedVersions({
    find: async () => {
      const modified = finds.shift();
      if (modified instanceof Error) throw modified;
      return { modified, rows: [] };
    },
    clock,
  });
  assert.equal((await concerned.list(all)).changed, undefined);
  await assert.rejects(concerned.list(all), StoreFailed);
  assert.equal((await concerned.list(all)).changed, '2024');
  assert.equal((await concerned.list(all)).changed, '2024');
  clock.pass(CONCERNED_KEPT_MS);
  assert.equal((await concerned.list(all)).changed, '2025');
});

test('only some are named, of modules that the client may read', async () => {
  const rows = [
    row('a.example/x'),
    ...Array.from({ length: CONCERNED_SHOWN_MAX }, (_, at) => row('b.example/y', at)),
  ];
  const concerned = new ConcernedVersions({
    find: async () => ({ modified: '2024', rows }),
    clock: new FakeClock(),
  });
  const named = async (mayName: (module: ModulePath) => boolean) => {
    const { shown, more } = await concerned.list(mayName);
    return [shown.length, more];
  };
  assert.deepEqual(await named(all), [CONCERNED_SHOWN_MAX, 1]);
  assert.deepEqual(await named((module) => module.startsWith('b.')), [CONCERNED_SHOWN_MAX, 0]);
  assert.deepEqual(await named((module) => module.startsWith('a.')), [1, 0]);
  assert.deepEqual(await named(() => false), [0, 0]);
});
