// Goal: a server with few file descriptors neither spins nor fails when clients take all it can give.
// Method: a real server under `ulimit -n`, more sockets than it has descriptors, and its CPU time by /proc.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Astera } from '../support/astera.ts';
import { FaultyUpstream } from '../support/faulty-upstream.ts';
import { madeUpFiles } from '../support/module-zip.ts';
import { ask, dial } from '../support/raw-client.ts';

const DESCRIPTORS = 200;
const SOCKETS = 600;

/** CPU time of a process in ms: its ticks are 10 ms. */
function cpuMs(pid: number): number {
  const [, ...fields] = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ');
  const [user, system] = (fields.join(') ').split(' ') ?? []).slice(11, 13);
  return (Number(user) + Number(system)) * 10;
}

test(`${SOCKETS} sockets at a server with ${DESCRIPTORS} descriptors`, async () => {
  const upstream = await FaultyUpstream.start();
  const module = { path: 'real.example/m', version: 'v1.0.0', contentBytes: 3_000_000 };
  const { zip } = madeUpFiles(module);
  upstream.serve('real.example/m/@v/v1.0.0.zip', { bytes: zip });
  const astera = await Astera.start({
    ...{ upstream: upstream.url, flags: ['--verify', 'off', '--readers', '1'] },
    wrapper: ['sh', '-c', `ulimit -n ${DESCRIPTORS} && exec "$@"`, 'sh'],
  });
  try {
    const sockets: Socket[] = [];
    while (sockets.length < SOCKETS)
      sockets.push(...(await Promise.all(Array.from({ length: 50 }, () => dial(astera.url)))));
    const before = cpuMs(astera.pid);
    await delay(1_000);
    const spentMs = cpuMs(astera.pid) - before;
    // A loop takes all that the machine gives it.
    assert.ok(spentMs < 300, `${spentMs} ms of CPU in a second of nothing to do`);
    const used = readdirSync(`/proc/${astera.pid}/fd`).length;
    assert.ok(used < DESCRIPTORS - 20, `${used} descriptors in use`);
    await astera.logged(/connections refused/);
    for (const socket of sockets) socket.destroy();
    const url = `${astera.url}/real.example/m/@v/v1.0.0.zip`;
    let got = await ask(url);
    while (got.status === 0) got = await ask(url);
    assert.ok(got.isWhole && got.body.equals(zip));
    await astera.stop();
  } finally {
    await astera.dispose();
    await upstream.close();
  }
});

test('a limit that is lowered below what is in use stops new connections, and does not make the server spin', async (t) => {
  const astera = await Astera.start({
    upstream: 'http://127.0.0.1:1',
    flags: ['--verify', 'off', '--readers', '1'],
  });
  t.after(() => astera.dispose());
  const limit = (files: string) =>
    execFileSync('prlimit', [`--nofile=${files}`, '--pid', String(astera.pid)]);
  limit('16:1024');
  const waiting = await dial(astera.url);
  while (!astera.log.includes('no connections for a while')) await delay(50);
  await astera.logged(/EMFILE/);
  const before = cpuMs(astera.pid);
  await delay(1_000);
  const spentMs = cpuMs(astera.pid) - before;
  assert.ok(spentMs < 300, `${spentMs} ms of CPU in a second of nothing to do`);
  waiting.destroy();
  limit('1024:1024');
  const isHealthy = () =>
    astera.get('healthz').then(
      ({ status }) => status === 200,
      () => false,
    );
  while (!(await isHealthy())) await delay(50);
  await astera.stop();
});
