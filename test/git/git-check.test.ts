// Goal: the start says in one line each what Git lacks here: the program, its version, a home, a directory to write to.
// Method: programs named git that say another version, and places that are not what they should be.

import assert from 'node:assert/strict';
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { checkGit } from '../../src/git/git-check.ts';
import { GitCommand } from '../../src/git/git-command.ts';
import { tempDir } from '../support/temp-dir.ts';

test('nothing is missing', async (t) => {
  const home = tempDir(t);
  assert.deepEqual(await check({ home, directory: join(home, 'not', 'made', 'yet') }), []);
});

const versions: { says: string; line: RegExp | undefined }[] = [
  { says: 'git version 2.29.3', line: /git 2\.29 is older than 2\.30/ },
  { says: 'git version 1.8.3.1', line: /git 1\.8 is older than 2\.30/ },
  { says: 'git version 2.30.0', line: undefined },
  { says: 'git version 2.39.5 (Apple Git-154)', line: undefined },
  { says: 'git version 3.0', line: undefined },
  { says: 'hello', line: /can't be fetched: hello; install git/ },
];

for (const { says, line } of versions) {
  test(`a git that says ${says}`, async (t) => {
    const bin = tempDir(t);
    writeFileSync(join(bin, 'git'), `#!/bin/sh\necho '${says}'\n`);
    chmodSync(join(bin, 'git'), 0o755);
    assertLine(await check({ home: bin, path: `${bin}:${process.env.PATH}` }), line);
  });
}

const places: { why: string; of: (t: TestContext) => Parameters<typeof check>[0]; line: RegExp }[] = [
  {
    why: 'no git',
    of: (t) => ({ path: tempDir(t) }),
    line: /cannot start git: .*; install git, or set --git=off/,
  },
  { why: 'no HOME', of: () => ({ home: undefined }), line: /^HOME is not set: Git finds no settings/ },
  {
    why: 'a HOME that is gone',
    of: (t) => ({ home: join(tempDir(t), 'gone') }),
    line: /^HOME cannot be read: .*ENOENT/,
  },
  {
    why: 'a file in the place of --git-dir',
    of: (t) => {
      const file = join(tempDir(t), 'file');
      writeFileSync(file, '');
      return { directory: file };
    },
    line: /cannot write to ".*file" \(--git-dir\): ".*file" is no directory/,
  },
  {
    why: 'a file above --git-dir',
    of: (t) => {
      const file = join(tempDir(t), 'file');
      writeFileSync(file, '');
      return { directory: join(file, 'below') };
    },
    line: /cannot write to ".*below" \(--git-dir\): .*ENOTDIR/,
  },
];

for (const { why, of, line } of places)
  test(`missing: ${why}`, async (t) => assertLine(await check({ home: tempDir(t), ...of(t) }), line));

function check({
  home,
  directory = '/tmp',
  path = process.env.PATH ?? '',
}: {
  home?: string | undefined;
  directory?: string;
  path?: string;
}) {
  return checkGit({ git: new GitCommand({ environment: { PATH: path } }), directory, home });
}

function assertLine(lines: readonly string[], line: RegExp | undefined): void {
  assert.equal(lines.length, line === undefined ? 0 : 1, lines.join('\n'));
  if (line !== undefined) assert.match(lines[0] ?? '', line);
}
