// Goal: the one file that clients fetch keeps what it is given, byte for byte, on each Node there is; whatever happens to it
// and to its directory, it answers each request, writes nothing but answers to stdout, and never has a wrong file.
// Method: `dist/cacheprog.mjs` as a child of this Node and of the machine's own, asked as `go` asks; all files that it left
// are hashed again.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type CacheAnswer, CacheClient } from '../support/cache-client.ts';
import { assertWhole, filesIn } from '../support/cached-build.ts';
import { CHECKOUT } from '../support/corpus.ts';
import { tempDir } from '../support/temp-dir.ts';
import { tmpfs } from '../support/tmpfs.ts';

const PROGRAM = join(CHECKOUT, 'dist/cacheprog.mjs');
const MIB = 1024 * 1024;

type Start = {
  readonly node?: string;
  readonly cacheDir: string;
  readonly temporary?: string;
  readonly flags?: readonly string[];
};

async function start(t: TestContext, { node = process.execPath, cacheDir, temporary, flags = [] }: Start) {
  const env = temporary === undefined ? {} : { TMPDIR: temporary };
  const command = [node, PROGRAM, `--cache-dir=${cacheDir}`, ...flags] as const;
  const client = await CacheClient.start({ command, env });
  t.after(() => client.child.kill('SIGKILL'));
  return client;
}

function assertHas({ DiskPath: path = '', Err: error }: CacheAnswer, body: Buffer): void {
  assert.equal(error, undefined);
  assert.ok(readFileSync(path).equals(body), path);
}

/** The most that it ever had resident, in kB. */
function peakOf(client: CacheClient): number {
  return Number(/^VmHWM:\s+(\d+)/m.exec(readFileSync(`/proc/${client.child.pid}/status`, 'utf8'))?.[1]);
}

/** This Node, and the machine's own where that is another that will do. */
function nodes(): readonly string[] {
  const { stdout } = spawnSync('node', ['-p', 'process.version'], { encoding: 'utf8' });
  const isOther = stdout !== null && stdout.trim() !== process.version;
  return isOther && Number(/^v(\d+)/.exec(stdout)?.[1]) >= 20
    ? [process.execPath, 'node']
    : [process.execPath];
}

for (const node of nodes()) {
  const version = spawnSync(node, ['-p', 'process.version'], { encoding: 'utf8' }).stdout.trim();

  test(`${version}: what is put is there for the next one: empty, repeated, large`, async (t) => {
    const cacheDir = join(tempDir(t), 'cache');
    const bodies = [
      Buffer.alloc(0),
      Buffer.from('one'),
      Buffer.alloc(3 * MIB + 1, 'three'),
      Buffer.from('one'),
    ];
    const first = await start(t, { node, cacheDir });
    for (const [at, body] of bodies.entries()) assertHas(await first.put(`a${at}`, body), body);
    await first.close();
    const next = await start(t, { node, cacheDir });
    const answers = await Promise.all(bodies.map((_, at) => next.get(`a${at}`)));
    for (const [at, answer] of answers.entries()) assertHas(answer, bodies[at] ?? Buffer.alloc(0));
    assert.equal(answers[3]?.DiskPath, answers[1]?.DiskPath);
    assert.equal((await next.get('nothing')).Miss, true);
    await next.close();
    assert.deepEqual([...first.lines, ...next.lines], []);
    assertWhole(cacheDir);
  });

  test(`${version}: four hundred requests that nobody waits for are all answered`, async (t) => {
    const cacheDir = join(tempDir(t), 'cache');
    const client = await start(t, { node, cacheDir });
    const asked: Promise<CacheAnswer>[] = [];
    for (let at = 0; at < 200; at++) {
      asked.push(client.put(`a${at}`, Buffer.from(`body ${at % 100}`)), client.get(`a${at - 50}`));
    }
    const answers = await Promise.all(asked);
    assert.equal(answers.filter(({ Miss }) => Miss === true).length, 50);
    await client.close();
    assert.equal(filesIn(join(cacheDir, 'output')).length, 100);
    assertWhole(cacheDir);
  });
}

for (const { name, why } of [
  { name: 'long '.repeat(40).trim(), why: 'a long name' },
  { name: 'Büro "x" \\ 日本\n', why: 'a name with characters of all kinds' },
]) {
  test(`a directory of ${why} is named as it is`, async (t) => {
    const cacheDir = join(tempDir(t), name, name);
    const client = await start(t, { cacheDir });
    const { DiskPath: path = '' } = await client.put('a', Buffer.from('one'));
    assert.ok(path.startsWith(cacheDir), path);
    assertHas(await client.get('a'), Buffer.from('one'));
    await client.close();
    assert.deepEqual(client.lines, []);
  });
}

test('a body of 100 MB costs no memory', async (t) => {
  const cacheDir = join(tempDir(t), 'cache');
  const client = await start(t, { cacheDir });
  const body = Buffer.alloc(100 * MIB, 'a hundred of these');
  assertHas(await client.put('a', body), body);
  const peakKb = peakOf(client);
  assert.ok(peakKb < 120_000, `${peakKb} kB`);
  await client.close();
});

test('uploads that are packed for a far server leave no memory behind', async (t) => {
  const server = createServer((request, response) => {
    request.resume();
    // From its first answers the program knows that it is far.
    setTimeout(() => response.writeHead(request.method === 'HEAD' ? 404 : 200).end(), 25);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address() as AddressInfo;
  const cacheDir = join(tempDir(t), 'cache');
  const flags = [
    `--remote=http://127.0.0.1:${port}`,
    '--remote-timeout=30s',
    '--close-wait=60s',
    '--metrics',
  ];
  const client = await start(t, { cacheDir, flags });
  const noise = randomBytes(MIB);
  for (let at = 0; at < 160; at++) {
    const part = noise.subarray(at * 1000, at * 1000 + 100_000);
    await client.put(`a${at}`, Buffer.concat([part, Buffer.alloc(400_000, `text ${at}. `), part]));
  }
  await client.send({ Command: 'close' });
  const peakKb = peakOf(client);
  client.child.stdin?.end();
  await client.exited;
  assert.match(client.lines.join('\n'), /160 uploaded/);
  assert.ok(peakKb < 115_000, `${peakKb} kB`);
});

test('a body that its OutputID does not name, or that is cut, is refused; what follows is kept', async (t) => {
  const cacheDir = join(tempDir(t), 'cache');
  const client = await start(t, { cacheDir });
  const right = client.putRequest('a', Buffer.from('right'));
  assert.match(
    (await client.send(right, `"${Buffer.from('wrong').toString('base64')}"\n`)).Err ?? '',
    /OutputID/,
  );
  assert.match(
    (await client.send(right, `"${Buffer.from('rig').toString('base64')}"\n`)).Err ?? '',
    /3 bytes of 5/,
  );
  assert.match(
    (await client.send(right, `"${Buffer.from('right one').toString('base64')}"\n`)).Err ?? '',
    /longer/,
  );
  assert.match(
    (await client.send({ ...right, OutputID: 'AAAA' }, '"cmlnaHQ="\n')).Err ?? '',
    /bad ActionID or OutputID/,
  );
  assert.equal((await client.get('a')).Miss, true);
  assertHas(await client.put('a', Buffer.from('right')), Buffer.from('right'));
  await client.close();
  assert.deepEqual(filesIn(join(cacheDir, 'tmp')), []);
});

test('eight at once share one directory', async (t) => {
  const cacheDir = join(tempDir(t), 'cache');
  const bodies = Array.from({ length: 40 }, (_, at) => Buffer.alloc(at * 1000, `body ${at}`));
  const clients = await Promise.all(Array.from({ length: 8 }, () => start(t, { cacheDir })));
  await Promise.all(
    clients.map(async (client, nth) => {
      for (const at of bodies.keys()) {
        const one = (at + nth) % bodies.length; // Not all of them the same at the same time.
        const body = bodies[one] ?? Buffer.alloc(0);
        assertHas(await client.put(`a${one}`, body), body);
        assertHas(await client.get(`a${one}`), body);
      }
      await client.close();
    }),
  );
  assert.equal(filesIn(join(cacheDir, 'output')).length, bodies.length);
  assertWhole(cacheDir);
});

test('killed in the middle of puts, it leaves nothing wrong, and the next one goes on', async (t) => {
  const cacheDir = join(tempDir(t), 'cache');
  for (let round = 0; round < 5; round++) {
    const client = await start(t, { cacheDir });
    const puts = Array.from({ length: 30 }, (_, at) =>
      client.put(`${round} ${at}`, Buffer.alloc(50_000, `${round} ${at}`)).catch(() => {}),
    );
    await puts[round * 3];
    client.child.kill('SIGKILL');
    await Promise.all([client.exited, ...puts]);
    assertWhole(cacheDir);
  }
  const next = await start(t, { cacheDir });
  assert.ok((await next.get('4 12')).DiskPath);
  assertHas(await next.put('last', Buffer.from('last')), Buffer.from('last'));
  await next.close();
});

test('a go command that is killed in the middle of a body leaves nothing of it, and no program', async (t) => {
  const cacheDir = join(tempDir(t), 'cache');
  for (const part of [0.1, 0.5, 0.9]) {
    const client = await start(t, { cacheDir });
    const body = Buffer.alloc(300_000, `cut at ${part}`);
    assertHas(await client.put(`before ${part}`, Buffer.from('whole')), Buffer.from('whole'));
    const text = `"${body.toString('base64')}"\n`;
    client.send(client.putRequest('cut', body), text.slice(0, text.length * part)).catch(() => {});
    client.child.stdin?.end();
    client.child.stdout?.destroy();
    assert.equal(await client.exited, 0);
    assertWhole(cacheDir);
    assert.deepEqual(filesIn(join(cacheDir, 'tmp')), []);
  }
});

test('a directory that is deleted while it runs costs misses and no put', async (t) => {
  const cacheDir = join(tempDir(t), 'cache');
  const client = await start(t, { cacheDir });
  assertHas(await client.put('a', Buffer.from('one')), Buffer.from('one'));
  rmSync(cacheDir, { recursive: true });
  assert.equal((await client.get('a')).Miss, true);
  assertHas(await client.put('a', Buffer.from('one')), Buffer.from('one'));
  assertHas(await client.get('a'), Buffer.from('one'));
  await client.close();
});

test('a disk that is full: puts go to the spare directory, and where that is full too, they fail one by one', async (t) => {
  const disk = tmpfs(t, '1m');
  if (disk === undefined) return t.skip('needs the right to mount');
  const [cacheDir, temporary] = [join(disk, 'cache'), tempDir(t)];
  const client = await start(t, { cacheDir, temporary });
  const bodies = Array.from({ length: 6 }, (_, at) => Buffer.alloc(300_000, `body ${at}`));
  for (const [at, body] of bodies.entries()) assertHas(await client.put(`a${at}`, body), body);
  for (const [at, body] of bodies.entries()) assertHas(await client.get(`a${at}`), body);
  await client.close();
  assert.equal(client.lines.length, 1);
  assert.match(
    client.lines[0] ?? '',
    /^astera cacheprog: cannot write to .*: new results are kept in .*ENOSPC/,
  );
  assertWhole(cacheDir);
  const without = await start(t, { cacheDir, temporary: disk });
  assert.match((await without.put('b', Buffer.alloc(500_000, 'no room'))).Err ?? '', /ENOSPC/);
  assertHas(await without.get('a0'), bodies[0] ?? Buffer.alloc(0));
  await without.close();
  assertWhole(cacheDir);
});

test('a read-only directory is read from, and puts go to the spare one', async (t) => {
  const [disk, temporary] = [tmpfs(t, '4m'), tempDir(t)];
  if (disk === undefined) return t.skip('needs the right to mount');
  const cacheDir = join(disk, 'cache');
  const writer = await start(t, { cacheDir });
  assertHas(await writer.put('a', Buffer.from('one')), Buffer.from('one'));
  await writer.close();
  execFileSync('mount', ['-o', 'remount,ro', disk]);
  const client = await start(t, { cacheDir, temporary });
  assertHas(await client.get('a'), Buffer.from('one'));
  const { DiskPath: path = '' } = await client.put('b', Buffer.from('two'));
  assert.ok(path.startsWith(temporary), path);
  assertHas(await client.get('b'), Buffer.from('two'));
  await client.close();
  assert.match(client.lines.join(), /^astera cacheprog: cannot write to .*EROFS/);
});
