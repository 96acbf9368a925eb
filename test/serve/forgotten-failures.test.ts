// Goal: an expected failure that nobody waits for is told of and ends nothing; any other error ends the process.
// Method: a process of its own for each, which would go on for a moment.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';

const source = (path: string) => pathToFileURL(join(import.meta.dirname, '../../src', path)).href;

function run(failure: string): { status: number | null; stdout: string; stderr: string } {
  const code = `
    import { watchForgotten } from '${source('serve/forgotten-failures.ts')}';
    import { UpstreamDown } from '${source('core/errors.ts')}';
    const end = watchForgotten((error) => console.log('told of ' + error.message));
    Promise.reject(${failure});
    setTimeout(() => { end(); console.log('went on'); }, 10);`;
  const args = ['--disable-warning=ExperimentalWarning', '--input-type=module', '--eval', code];
  return spawnSync(process.execPath, args, { encoding: 'utf8' });
}

test('an upstream that is down ends nothing', () => {
  const { status, stdout, stderr } = run("new UpstreamDown('no route')");
  assert.deepEqual([status, stdout, stderr], [0, 'told of no route\nwent on\n', '']);
});

test('a bug ends the process', () => {
  const { status, stdout, stderr } = run("new TypeError('no such thing')");
  assert.equal(status, 1);
  assert.equal(stdout, '');
  assert.match(stderr, /TypeError: no such thing/);
});
