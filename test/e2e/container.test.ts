// Goal: the image's steps and commands work: the bundle is unpacked for both platforms, the server runs as a user without
// rights, its health check tells the truth, it stops cleanly.
// Method: there is no container engine here. The Dockerfile is read, its one RUN step is run with a directory in place
// of its absolute paths, and what it names as entry, command, health check, user and environment is run as it says.

import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { bundleOf } from '../support/bundles.ts';
import { CHECKOUT } from '../support/corpus.ts';
import { freePort } from '../support/free-port.ts';

const DOCKERFILE = readFileSync(join(CHECKOUT, 'deploy/Dockerfile'), 'utf8').replace(/\\\n/g, '');
const HERE = process.arch === 'arm64' ? 'arm64' : 'amd64';

let directory: string;

before(() => {
  // Where a user without rights can come to.
  directory = mkdtempSync(join(tmpdir(), 'astera-container-'));
  execFileSync('chmod', ['755', directory]);
  mkdirSync(join(directory, 'bundles'));
  for (const platform of ['linux-arm64', 'linux-x64'] as const) {
    const archive = bundleOf(platform);
    copyFileSync(archive, join(directory, 'bundles', basename(archive)));
  }
});

after(() => rmSync(directory, { recursive: true, force: true }));

test('the one step unpacks the bundle of each platform, and refuses others', () => {
  for (const [arch, cpu] of [
    ['arm64', 'arm64'],
    ['amd64', 'x64'],
  ] as const) {
    rmSync(join(directory, 'image'), { recursive: true, force: true });
    assert.equal(unpack(arch).status, 0);
    assert.ok(statSync(join(directory, `image/opt/astera/node_modules/node-linux-${cpu}/bin/node`)).isFile());
  }
  const { status, stderr } = unpack('riscv64');
  assert.deepEqual([status, stderr], [1, 'no bundle for riscv64\n']);
});

test('of two versions none is taken by chance', () => {
  const copy = join(directory, `bundles/astera-9-linux-${HERE === 'arm64' ? 'arm64' : 'x64'}.tar.gz`);
  copyFileSync(join(CHECKOUT, 'package.json'), copy);
  const { status, stderr } = unpack(HERE);
  rmSync(copy);
  assert.equal(status, 1);
  assert.match(stderr, /^one bundle is needed, found /);
});

test('as the user of the image the server is healthy when it serves, and stops cleanly', async () => {
  rmSync(join(directory, 'image'), { recursive: true, force: true });
  assert.equal(unpack(HERE).status, 0);
  const [uid = 0, gid = 0] = line('USER').split(':').map(Number);
  assert.ok(uid > 0 && gid > 0, 'not root');
  const store = join(directory, 'image', line('VOLUME'));
  assert.match(DOCKERFILE, new RegExp(`^COPY .*--chown=${uid}:${gid} .* ${line('VOLUME')}$`, 'm'));
  chownSync(store, uid, gid);
  const variables = line('ENV')
    .split(' ')
    .map((pair) => pair.split('=') as [string, string]);
  const env = {
    PATH: process.env.PATH,
    ...Object.fromEntries(variables.map(([name, value]) => [name, inImage(value)])),
    ASTERA_ADDR: `127.0.0.1:${await freePort()}`,
    ASTERA_SUMDB: 'off',
  };
  const options = { env, cwd: inImage(line('WORKDIR')), uid, gid } as const;
  const [check = '', ...checkArgs] = words(line('HEALTHCHECK').replace(/^.*CMD /, ''));
  const isHealthy = () => spawnSync(inImage(check), checkArgs, options).status === 0;
  assert.equal(isHealthy(), false);
  const [entry = ''] = words(line('ENTRYPOINT'));
  const server = spawn(inImage(entry), words(line('CMD')), {
    ...options,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  for await (const text of createInterface({ input: server.stdout })) if (/^listening/.test(text)) break;
  assert.equal(isHealthy(), true);
  assert.equal(statSync(join(store, 'astera.db')).uid, uid);
  server.kill(line('STOPSIGNAL') as NodeJS.Signals);
  assert.deepEqual(await once(server, 'exit'), [0, null]);
});

test('the compose file gives the store a volume, and nothing more than the server needs', () => {
  const text = readFileSync(join(CHECKOUT, 'deploy/compose.yaml'), 'utf8');
  assert.match(text, new RegExp(`^ {6}- store:${line('VOLUME')}$`, 'm'));
  for (const wanted of [
    'read_only: true',
    '- ALL',
    'no-new-privileges:true',
    'dockerfile: deploy/Dockerfile',
  ]) {
    assert.ok(text.includes(wanted), wanted);
  }
});

/** Runs the RUN step with `directory` as its root. */
function unpack(arch: string): { status: number | null; stderr: string } {
  const script = line('RUN').replace(/(?<=^|\s)\/(?=bundles|image)/g, `${directory}/`);
  return spawnSync('sh', ['-c', script], {
    env: { PATH: process.env.PATH, TARGETARCH: arch },
    encoding: 'utf8',
  });
}

function inImage(path: string): string {
  return path.startsWith('/') ? join(directory, 'image', path) : path;
}

/** What stands behind an instruction that is there once. */
function line(instruction: string): string {
  const found = [...DOCKERFILE.matchAll(new RegExp(`^${instruction} (.*)$`, 'gm'))];
  assert.equal(found.length, 1, instruction);
  return found[0]?.[1] ?? '';
}

/** Of the form with brackets, which no shell reads. */
function words(json: string): string[] {
  return JSON.parse(json) as string[];
}
