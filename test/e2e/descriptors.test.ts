// Goal: a server with few file descriptors neither spins nor fails when clients take all it can give.
// Method: a real server under `ulimit -n`, more sockets than it has descriptors, and its CPU time by /proc.

import assert from 'node:assert/strict';
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
    assert.match(astera.log, /connections refused/);
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
