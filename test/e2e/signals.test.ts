// Goal: signals that are sent to many processes at once, or by mistake, neither end a server nor open a debugger.
// Method: a real server; each signal, then requests; what it listens on by /proc; a terminal that is closed.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { ASTERA, Astera } from '../support/astera.ts';
import { tempDir } from '../support/temp-dir.ts';

/** Ports that a process listens on. */
function portsOf(pid: number): number[] {
  const directory = `/proc/${pid}/fd`;
  const inodes = readdirSync(directory).flatMap((fd) => {
    try {
      return /^socket:\[(\d+)\]$/.exec(readlinkSync(join(directory, fd)))?.[1] ?? [];
    } catch {
      return []; // Closed since.
    }
  });
  return ['tcp', 'tcp6'].flatMap((kind) =>
    readFileSync(`/proc/${pid}/net/${kind}`, 'utf8')
      .split('\n')
      .map((line) => line.trim().split(/\s+/))
      .filter(([, , , state, , , , , , inode = '']) => state === '0A' && inodes.includes(inode))
      .map(([, local = '']) => Number.parseInt(local.split(':')[1] ?? '', 16)),
  );
}

test('SIGHUP, SIGUSR1 and SIGUSR2 leave a server as it is', async () => {
  const astera = await Astera.start({ upstream: 'off', flags: ['--offline'] });
  try {
    const port = Number(new URL(astera.url).port);
    for (const signal of ['SIGUSR1', 'SIGUSR2', 'SIGHUP'] as const) {
      process.kill(astera.pid, signal);
      // A debugger that opens does so within a few milliseconds.
      for (let look = 0; look < 10; look++) {
        await delay(20);
        assert.equal((await astera.get('healthz')).status, 200, signal);
        assert.deepEqual(portsOf(astera.pid), [port], signal);
      }
    }
    await astera.logged(/SIGHUP: nothing to read anew/);
    assert.doesNotMatch(astera.log, /Debugger/);
    await astera.stop();
  } finally {
    await astera.dispose();
  }
});

test('a server whose terminal is closed stops in order', { timeout: 60_000 }, async (t) => {
  const db = join(tempDir(t), 'a.db');
  const command = `${ASTERA} serve --addr 127.0.0.1:0 --db ${db} --offline & echo "pid $!"; wait`;
  const terminal = spawn('script', ['-qfc', command, '/dev/null'], { stdio: ['pipe', 'pipe', 'inherit'] });
  let pid = 0;
  for await (const line of createInterface({ input: terminal.stdout })) {
    pid ||= Number(/^pid (\d+)/.exec(line)?.[1] ?? 0);
    if (line.startsWith('listening on')) break;
  }
  assert.ok(pid > 0);
  terminal.kill('SIGKILL');
  await once(terminal, 'exit');
  while (isThere(pid)) await delay(20);
  assert.deepEqual(readdirSync(join(db, '..')), ['a.db', 'a.db.lock'], 'its log is written into the file');
});

function isThere(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
