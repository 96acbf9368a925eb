// Goal: there is one object for a repository at a time, also when it was dropped from memory while a request held it.
// Method: room for one repository, and three that are asked for in turn.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { buildZip } from '../../src/git/build-zip.ts';
import { GIT_BOUNDS } from '../../src/git/git-bounds.ts';
import { GitCommand } from '../../src/git/git-command.ts';
import { LoginPauses } from '../../src/git/login-pauses.ts';
import { Repositories } from '../../src/git/repositories.ts';
import { tempDir } from '../support/temp-dir.ts';

test('a repository that is held is not opened a second time', async (t) => {
  const clock = { wallMs: () => 0, monotonicMs: () => 0 };
  const repositories = new Repositories({
    git: new GitCommand({ environment: { PATH: process.env.PATH } }),
    buildZip: (order) => buildZip(order),
    pauses: new LoginPauses(clock),
    hasLogin: async () => false,
    directory: tempDir(t),
    bounds: GIT_BOUNDS,
    repositoriesMax: 1,
    clock,
    warn: () => {},
  });
  const held = await repositories.at('https://corp.example/a');
  await repositories.at('https://corp.example/b');
  await repositories.at('https://corp.example/c');
  assert.equal(await repositories.at('https://corp.example/a'), held);
});
