// Goal: a Git server that hangs, drops, lies, sends garbage or no end gives one clear line in bounded time, with a status that
// makes no `go` command believe that a module is not there; and nothing of it is left, no file and no process.
// Method: servers on loopback that misbehave on purpose, and the processes that /proc shows.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { appendFileSync, existsSync, readdirSync, readFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { deflateSync } from 'node:zlib';
import { type ErrorKind, isServeError, UpstreamDown } from '../../src/core/errors.ts';
import { tempDir } from '../support/temp-dir.ts';
import { gitRig } from './git-rig.ts';
import { writeInsteadOf } from './go-direct.ts';
import { band, beginPack, FLUSH, type HostileBehaviour, pkt, serveHostile } from './hostile-git-server.ts';
import { gitIn, makeRepository } from './repository-maker.ts';

const MODULE = 'corp.example/x.git';
const A = 'a'.repeat(40);
const REFS = [`${A} HEAD`, `${A} refs/heads/main`, `${A} refs/tags/v1.0.0`];
const SHORT = { refsMs: 1_000, fetchMs: 2_000, copyBytesMax: 2_000_000, sizeCheckMs: 20 };

const servers: { why: string; behaviour: HostileBehaviour; file?: string; kind: ErrorKind; says: RegExp }[] =
  [
    { why: 'says nothing', behaviour: { hello: () => {} }, kind: 'upstream-down', says: /took too long/ },
    {
      why: 'says nothing to a fetch',
      behaviour: { refs: REFS, fetch: () => {} },
      kind: 'upstream-down',
      says: /took too long/,
    },
    {
      why: 'stops in the middle of a pack',
      behaviour: { refs: REFS, fetch: (response) => beginPack(response, A) },
      kind: 'upstream-down',
      says: /took too long/,
    },
    {
      why: 'drops the connection in the middle of a pack',
      behaviour: {
        refs: REFS,
        fetch: (response) => {
          beginPack(response, A);
          response.write(band(blob(1000)).subarray(0, 500), () => response.destroy());
        },
      },
      kind: 'upstream-down',
      says: /./,
    },
    {
      why: 'ends a pack in the middle',
      behaviour: {
        refs: REFS,
        fetch: (response) => {
          beginPack(response, A);
          response.write(band(blob(1000)));
          response.end(FLUSH);
        },
      },
      kind: 'upstream-down',
      says: /./,
    },
    {
      why: 'sends a pack without end',
      behaviour: {
        refs: REFS,
        fetch: (response) => {
          beginPack(response, A);
          const piece = band(blob(60_000));
          const more = () => {
            while (!response.destroyed && response.write(piece));
          };
          response.on('drain', more);
          more();
        },
      },
      kind: 'upstream-failed',
      says: /has more than 2000000 bytes/,
    },
    {
      why: 'sends garbage for a pack',
      behaviour: {
        refs: REFS,
        fetch: (response) => {
          response.write(pkt('packfile\n'));
          response.write(band(randomBytes(1000)));
          response.end(FLUSH);
        },
      },
      kind: 'upstream-failed',
      says: /./,
    },
    {
      why: 'answers a page',
      behaviour: { hello: (response) => page(response, '<html>\nlog in\n</html>\n') },
      kind: 'upstream-failed',
      says: /not valid: is this a git repository/,
    },
    {
      why: 'answers a page of one line',
      behaviour: { hello: (response) => page(response, '<html>log in</html>') },
      file: '@v/list',
      kind: 'not-found',
      says: /has no commits, or is none/,
    },
    {
      why: 'lists a commit that it does not have',
      behaviour: { refs: REFS, fetch: (response) => response.end(pkt(`ERR upload-pack: not our ref ${A}`)) },
      kind: 'upstream-failed',
      says: /not our ref/,
    },
    {
      why: 'lists names that are none',
      behaviour: {
        refs: [
          `${A} HEAD`,
          `${A} refs/heads/a:refs/heads/b`,
          `${A} refs/heads/--x*`,
          `${A} refs/heads/../../x`,
          `${A} refs/heads/x.lock`,
          `${A} refs/heads/x@{1}`,
          `${A} refs/heads/.x`,
        ],
      },
      file: '@v/main.info',
      kind: 'not-found',
      says: /unknown revision main/,
    },
    {
      why: 'redirects to a file',
      behaviour: { hello: (response) => response.writeHead(302, { location: 'file:///etc' }).end() },
      kind: 'upstream-failed',
      says: /./,
    },
    {
      why: 'redirects to a program',
      behaviour: { hello: (response) => response.writeHead(302, { location: 'ext::sh -c x' }).end() },
      kind: 'upstream-failed',
      says: /./,
    },
    {
      why: 'redirects to itself for ever',
      behaviour: { hello: (response, { url }) => response.writeHead(302, { location: url ?? '' }).end() },
      kind: 'upstream-failed',
      says: /./,
    },
    {
      why: 'lists what is no hash',
      behaviour: { refs: ['-x refs/heads/main'] },
      kind: 'upstream-failed',
      says: /invalid ls-refs response/,
    },
    {
      why: 'writes an error of many lines',
      behaviour: {
        hello: (response) => response.writeHead(500).end('<h1>no</h1>\nno such repository\nnot found\n'),
      },
      kind: 'upstream-down',
      says: /returned error: 500/,
    },
    {
      why: 'is busy',
      behaviour: { hello: (response) => response.writeHead(429).end() },
      kind: 'busy',
      says: /429/,
    },
    {
      why: 'says in a message that nothing is found',
      behaviour: { refs: REFS, fetch: (response) => response.end(pkt('ERR internal error: weather')) },
      kind: 'upstream-failed',
      says: /weather/,
    },
  ];

for (const { why, behaviour, file = '@v/v1.0.0.info', kind, says } of servers) {
  test(`a server that ${why}: ${kind}`, async (t) => {
    const { rig, home } = await worldAt(t, await serveHostile(t, behaviour));
    await assert.rejects(rig.text(`${MODULE}/${file}`), (error) => {
      assert.ok(isServeError(error), String(error));
      assert.equal(error.kind, kind, error.message);
      assert.match(error.message, says);
      assert.doesNotMatch(error.message, /\n/);
      return true;
    });
    await nothingLeft(home, rig.directory);
  });
}

test('a server that hangs does not hold up another server', async (t) => {
  const { home } = await worldAt(t, await serveHostile(t, { hello: () => {} }));
  makeRepository(join(home, 'served', 'y'), [{ tags: ['v1.0.0'] }]);
  const lead = readFileSync(join(home, '.gitconfig'), 'utf8');
  writeInsteadOf(home, { 'https://fine.example/': `file://${home}/served/` });
  appendFileSync(join(home, '.gitconfig'), lead);
  const rig = gitRig({ home, bounds: { refsMs: 3_000 } });
  const hanging = Promise.allSettled(
    Array.from({ length: 12 }, (_, at) => rig.text(`corp.example/m${at}.git/@v/list`)),
  );
  const first = await Promise.race([rig.text('fine.example/y.git/@v/list'), hanging]);
  assert.equal(first, 'v1.0.0\n');
  for (const one of await hanging) assert.ok(one.status === 'rejected' && one.reason instanceof UpstreamDown);
  await nothingLeft(home, rig.directory);
});

test('the processes of a server that was killed end, and stop nobody afterwards', async (t) => {
  const { home } = await worldAt(t, '');
  makeRepository(join(home, 'served', 'x'), [
    { files: { 'go.mod': `module ${MODULE}\n` }, tags: ['v1.0.0'] },
  ]);
  const hash = gitIn(join(home, 'served', 'x'), 'rev-parse', 'main');
  const asked = Promise.withResolvers<void>();
  const url = await serveHostile(t, {
    refs: [`${hash} HEAD`, `${hash} refs/tags/v1.0.0`],
    fetch: (response) => {
      beginPack(response, hash);
      response.write(band(blob(60_000)), () => asked.resolve());
    },
  });
  writeInsteadOf(home, { 'https://corp.example/': `${url}/` });
  const ours = `
    import { gitRig } from ${JSON.stringify(new URL('./git-rig.ts', import.meta.url).href)};
    await gitRig({ home: ${JSON.stringify(home)} }).text('${MODULE}/@v/v1.0.0.info');`;
  const server = spawn(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', '--input-type=module-typescript', '-e', ours],
    {
      stdio: 'ignore',
    },
  );
  await asked.promise;
  const died = once(server, 'exit');
  server.kill('SIGKILL');
  await died;
  const directory = join(home, 'repositories');
  await noProcesses(home);
  writeInsteadOf(home, { 'https://corp.example/': `file://${home}/served/` });
  const rig = gitRig({ home });
  assert.equal(JSON.parse(await rig.text(`${MODULE}/@v/v1.0.0.info`)).Version, 'v1.0.0');
  await nothingLeft(home, directory);
});

async function worldAt(t: TestContext, url: string) {
  const home = tempDir(t);
  writeInsteadOf(home, { 'https://corp.example/': `${url}/` });
  return { home, rig: gitRig({ home, bounds: SHORT }) };
}

function page(response: ServerResponse, html: string): void {
  response.setHeader('content-type', 'text/html').end(html);
}

/** A blob as it stands in a pack. */
function blob(bytes: number): Buffer {
  const head = [(3 << 4) | (bytes & 15)];
  for (let left = bytes >> 4; left > 0; left >>= 7) {
    head[head.length - 1] = (head.at(-1) ?? 0) | 0x80;
    head.push(left & 0x7f);
  }
  return Buffer.concat([Buffer.from(head), deflateSync(randomBytes(bytes), { level: 0 })]);
}

/** Waits for the end of all processes that have this home. */
async function noProcesses(home: string): Promise<void> {
  for (const deadlineMs = Date.now() + 20_000; processesOf(home).length > 0; ) {
    assert.ok(Date.now() < deadlineMs, `processes live on: ${processesOf(home)}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Waits for the end of all processes, and looks for what they left. */
async function nothingLeft(home: string, directory: string): Promise<void> {
  await noProcesses(home);
  if (!existsSync(directory)) return;
  const left = readdirSync(directory, { recursive: true, encoding: 'utf8' }).filter((name) =>
    /\.lock$|(?:^|\/)(?:tmp_|incoming-)/.test(name),
  );
  assert.deepEqual(left, []);
}

function processesOf(home: string): string[] {
  return readdirSync('/proc').filter((pid) => {
    if (!/^[0-9]+$/.test(pid) || Number(pid) === process.pid) return false;
    try {
      return readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0').includes(`HOME=${home}`);
    } catch {
      return false;
    }
  });
}
