// Goal: what this machine lacks is not the upstream's fault.
// Method: a process of its own that runs out of file descriptors; the errors of other lacks in a table.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { finalError, setbackOf } from '../../src/upstream/setback.ts';
import { faulty } from './rig.ts';

const MAIN = join(import.meta.dirname, '../support/no-descriptors-main.ts');
const MOD = 'example.com/m/@v/v1.0.0.mod';
const text = 'module example.com/m';
const LACKING = /^up busy: cannot fetch .* out of file descriptors here: raise the limit of open files/;

async function assertLines(list: string, path: string): Promise<void> {
  const script = 'ulimit -n 100; exec "$0" --disable-warning=ExperimentalWarning "$@"';
  const { stdout } = await promisify(execFile)('sh', ['-c', script, process.execPath, MAIN, list, path]);
  const lines = stdout.trimEnd().split('\n');
  assert.equal(lines[0], `up ${text}`);
  for (const line of lines.slice(1, 4)) assert.match(line, LACKING);
  assert.deepEqual(lines.slice(4), [`up ${text}`]);
}

test('without a file descriptor an upstream is not asked, and not down', async (t) => {
  const server = await faulty(t);
  server.serve(MOD, { bytes: Buffer.from(text), headers: { connection: 'close' } });
  await assertLines(server.url, MOD);
  assert.equal(server.seen.length, 2);
});

test('without a file descriptor a tree on disk fails the same way', async (t) => {
  const root = mkdtempSync(join(tmpdir(), 'astera-files-'));
  t.after(() => rmSync(root, { recursive: true }));
  writeFileSync(join(root, 'm.mod'), text);
  await assertLines(pathToFileURL(root).href, 'm.mod');
});

for (const code of ['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM', 'EADDRNOTAVAIL']) {
  test(`${code} is of this machine, directly and on the way through an HTTP proxy`, () => {
    const error = Object.assign(new Error(code), { code });
    for (const seen of [error, new Error('through the HTTP proxy', { cause: error })]) {
      const setback = setbackOf(seen, false);
      assert.equal(setback.kind, 'local');
      assert.equal(finalError(setback, 'a', 'b').kind, 'busy');
    }
  });
}

test('ECONNREFUSED is not', () => {
  assert.equal(setbackOf(Object.assign(new Error(''), { code: 'ECONNREFUSED' }), false).kind, 'connect');
});
