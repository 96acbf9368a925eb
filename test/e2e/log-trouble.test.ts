// Goal: a log that nobody takes neither blocks nor ends the server; lost lines are counted, and told when it works again.
// Method: real servers at debug level whose stderr or stdout is a full device, a full file, an unread pipe, or closed.

import assert from 'node:assert/strict';
import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { ASTERA, parseMetrics } from '../support/astera.ts';
import { freePort } from '../support/free-port.ts';
import { ask } from '../support/raw-client.ts';
import { tempDir } from '../support/temp-dir.ts';

/** Each makes a line of over 300 bytes at debug level: more than a pipe and the lines that wait have room for. */
const REQUESTS = 2_000;
const LONG_PATH = `/healthz-${'x'.repeat(300)}`;

const troubles: readonly { why: string; redirect?: string; stdio?: StdioOptions; drops: boolean }[] = [
  { why: 'stderr is a full device', redirect: '2>/dev/full', drops: true },
  { why: 'stderr is a pipe that nobody reads', stdio: ['ignore', 'ignore', 'pipe'], drops: true },
  { why: 'stderr is a pipe whose reader is gone', redirect: '2> >(exec true)', drops: true },
  { why: 'stderr is closed', redirect: '2>&-', drops: false },
  { why: 'stdout is a full device', redirect: '>/dev/full', drops: false },
  { why: 'stdout is a pipe whose reader is gone', redirect: '> >(exec true)', drops: false },
  { why: 'stdout is closed', redirect: '>&-', drops: false },
  { why: 'all are closed', redirect: '<&- >&- 2>&-', drops: false },
];

for (const { why, redirect = '', stdio = 'ignore', drops } of troubles) {
  test(`serves on: ${why}`, { timeout: 60_000 }, async (t) => {
    const { url, child } = await serve(t, redirect, stdio);
    await makeLines(url);
    assert.equal((await ask(`${url}/healthz`)).status, 200);
    assert.equal((await droppedLines(url)) > 0, drops, 'lines that found no room are counted');
    child.kill('SIGTERM');
    assert.deepEqual(await once(child, 'exit'), [0, null]);
  });
}

test('a pipe that is read again has whole lines alone, and says how many are missing', {
  timeout: 60_000,
}, async (t) => {
  const { url, child } = await serve(t, '', ['ignore', 'ignore', 'pipe']);
  await makeLines(url);
  assert.ok((await droppedLines(url)) > 0);
  let text = '';
  for await (const part of child.stderr ?? []) {
    text += String(part);
    if (text.includes('log lines were dropped') && text.endsWith('\n')) break;
  }
  const lines = text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as { msg: string; lines?: number });
  assert.equal(
    lines.find(({ msg }) => msg.startsWith('log lines were dropped'))?.lines,
    await droppedLines(url),
  );
});

test('a command whose output finds no room fails in one line', { timeout: 30_000 }, async () => {
  const full = openSync('/dev/full', 'w');
  const child = spawn(ASTERA, ['--help'], { stdio: ['ignore', full, 'pipe'] });
  closeSync(full);
  let stderr = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  assert.deepEqual(await once(child, 'close'), [1, null]);
  assert.match(stderr, /^astera: cannot write to stdout: ENOSPC[^\n]*\n$/);
});

/** A server on a free port; its stdout may be gone, so that it is asked until it answers. */
async function serve(
  t: TestContext,
  redirect: string,
  stdio: StdioOptions,
): Promise<{ url: string; child: ChildProcess }> {
  const port = await freePort();
  const flags = `--offline --log-level debug --addr 127.0.0.1:${port} --db ${join(tempDir(t), 'a.db')}`;
  const { PATH, HOME } = process.env;
  const child = spawn('bash', ['-c', `exec ${ASTERA} serve ${flags} ${redirect}`], {
    env: { PATH, HOME, GOSUMDB: 'off', GOENV: 'off' },
    stdio,
  });
  t.after(() => child.kill('SIGKILL'));
  const url = `http://127.0.0.1:${port}`;
  while ((await ask(`${url}/healthz`)).status !== 200) {
    assert.equal(child.exitCode, null, 'it ended at its start');
    await new Promise((resolve) => setImmediate(resolve));
  }
  return { url, child };
}

async function makeLines(url: string): Promise<void> {
  for (let done = 0; done < REQUESTS; done += 50) {
    await Promise.all(Array.from({ length: 50 }, () => ask(`${url}${LONG_PATH}`)));
  }
}

async function droppedLines(url: string): Promise<number> {
  const { body } = await ask(`${url}/metrics`);
  return parseMetrics(body.toString()).get('astera_log_lines_dropped_total') ?? Number.NaN;
}
