// Goal: a profile names the functions that burn CPU and hold memory, thread by thread, as `go tool pprof` reads it.
// Method: functions that burn CPU on the front and in a reader thread; the real `go tool pprof` prints the profiles.

import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { promisify } from 'node:util';
import { Busy } from '../../src/core/errors.ts';
import { type ProfileRequest, Profiles } from '../../src/observe/profiles.ts';
import { ReaderPool } from '../../src/workers/reader-pool.ts';
import { Astera } from '../support/astera.ts';
import { writeDownloadCache } from '../support/download-cache.ts';
import { tempDir } from '../support/temp-dir.ts';

const directory = tempDir({ after });
const url = new URL('./burning-reader.ts', import.meta.url);

function burnInFront(): number {
  let burned = 0;
  for (const endMs = performance.now() + 400; performance.now() < endMs; ) {
    for (let i = 0; i < 1e5; i++) burned += Math.sqrt(i);
  }
  return burned;
}

/** The output of `go tool pprof` for a profile. */
function pprof(profile: Uint8Array, ...flags: string[]): string {
  const file = join(directory, 'profile.pb.gz');
  writeFileSync(file, profile);
  return execFileSync('go', ['tool', 'pprof', ...flags, file], { encoding: 'utf8' });
}

/** Profiles of the front and one reader thread. Both burn CPU while a CPU profile is taken. */
async function withBurners(use: (take: (request: ProfileRequest) => Promise<Uint8Array>) => Promise<void>) {
  const profiles = new Profiles();
  const readers = new ReaderPool({ dbPath: '', threads: 1, url });
  profiles.nameThreads(() => ({ reader: readers.threadIds, writer: [], builder: [] }));
  try {
    await readers.call.getEntry({ key: 'warm' });
    await use(async (request) => {
      const taken = profiles.take(request);
      if (request.kind === 'cpu') {
        await Promise.all([readers.call.getEntry({ key: 'a' }), Promise.resolve().then(burnInFront)]);
      }
      return taken;
    });
  } finally {
    await readers.close();
    profiles.close();
  }
}

test('one CPU profile holds all threads, and labels tell them apart', async () => {
  await withBurners(async (take) => {
    const profile = await take({ kind: 'cpu', thread: undefined, seconds: 1 });
    const top = pprof(profile, '-top');
    assert.match(top, /^Type: cpu$/m);
    assert.match(top, / burnInFront test\/observe\/profiles\.test\.ts$/m);
    assert.match(top, / burnInReader test\/observe\/burning-reader\.ts$/m);
    const reader = pprof(profile, '-top', '-tagfocus=thread=reader');
    assert.match(reader, /burnInReader/);
    assert.doesNotMatch(reader, /burnInFront/);
    const lines = pprof(profile, '-top', '-files');
    assert.match(lines, /test\/observe\/burning-reader\.ts/);
  });
});

test('a thread that waits for a task burns nothing', async () => {
  await withBurners(async (take) => {
    const top = pprof(await take({ kind: 'cpu', thread: 'reader', seconds: 1 }), '-top');
    assert.match(top, /^Duration/m);
    assert.match(top, /burnInReader/);
    assert.doesNotMatch(top, /burnInFront|\(idle\)/);
    const [, flatMs = ''] = /^ *([0-9.]+)\w* .* atomicsWaitLoop/m.exec(top) ?? [];
    assert.ok(flatMs === '' || Number(flatMs) === 0, top);
  });
});

test('a heap profile names the functions that allocated the live objects, thread by thread', async () => {
  await withBurners(async (take) => {
    const top = pprof(await take({ kind: 'heap', thread: 'reader' }), '-top');
    assert.match(top, /^Type: inuse_space$/m);
    assert.match(top, / keepInReader test\/observe\/burning-reader\.ts$/m);
    assert.doesNotMatch(
      pprof(await take({ kind: 'heap', thread: 'front' }), '-top'),
      /keepInReader/,
      'the front has not made them',
    );
  });
});

test('a thread that starts while a profile is taken is in it', async () => {
  const profiles = new Profiles();
  const taken = profiles.take({ kind: 'cpu', thread: undefined, seconds: 2 });
  const readers = new ReaderPool({ dbPath: '', threads: 1, url });
  profiles.nameThreads(() => ({ reader: readers.threadIds, writer: [], builder: [] }));
  try {
    await readers.call.getEntry({ key: 'a' });
    assert.match(pprof(await taken, '-top', '-tagfocus=thread=reader'), /burnInReader/);
  } finally {
    await readers.close();
    profiles.close();
  }
});

test('a thread that ends while a profile is taken does not spoil it', async () => {
  const profiles = new Profiles();
  const readers = new ReaderPool({ dbPath: '', threads: 1, url });
  try {
    await readers.call.getEntry({ key: 'a' });
    const taken = profiles.take({ kind: 'cpu', thread: undefined, seconds: 1 });
    await readers.close();
    burnInFront();
    assert.match(pprof(await taken, '-top'), /burnInFront/);
  } finally {
    profiles.close();
  }
});

test('only one profile is taken at a time, and a second request gets Busy', async () => {
  const profiles = new Profiles();
  try {
    const first = profiles.take({ kind: 'cpu', thread: 'front', seconds: 1 });
    await assert.rejects(profiles.take({ kind: 'heap', thread: undefined }), Busy);
    await first;
    await profiles.take({ kind: 'heap', thread: undefined });
  } finally {
    profiles.close();
  }
});

/** A line of the table for a function of the module proxy, and for one of the store. */
const FRONT = / \w+ src\/modules\/[\w-]+\.ts$/m;
const READER = / \w+ src\/store\/[\w-]+\.ts$/m;

test('a profile of a server under load names our functions and files in front and reader', async () => {
  const tree = join(directory, 'tree');
  writeDownloadCache(tree, [{ path: 'x.example/m', version: 'v1.0.0', contentBytes: 1_000 }]);
  const flags = ['--pprof', '--verify', 'off', '--cache-memory', '0', '--cache-weak', '0'];
  const astera = await Astera.start({ upstream: `file://${tree}`, flags });
  let isOver = false;
  const client = async () => {
    while (!isOver) await (await astera.get('x.example/m/@v/v1.0.0.mod')).arrayBuffer();
  };
  const clients = Array.from({ length: 8 }, client);
  const top = async (query: string) => {
    const url = `${astera.url}/debug/pprof/profile?seconds=1${query}`;
    const env = { ...process.env, PPROF_TMPDIR: directory };
    return (await promisify(execFile)('go', ['tool', 'pprof', '-top', '-nodefraction=0', url], { env }))
      .stdout;
  };
  /** Takes up to five profiles until one names all functions: on a busy machine one second may give only ten samples. */
  const topNaming = async (query: string, ...names: RegExp[]) => {
    let text = '';
    for (let tries = 0; tries < 5 && !names.every((name) => name.test(text)); tries++)
      text = await top(query);
    for (const name of names) assert.match(text, name);
    return text;
  };
  try {
    const front = await topNaming('&thread=front', FRONT);
    assert.doesNotMatch(front, READER);
    const reader = await topNaming('&thread=reader', READER);
    assert.doesNotMatch(reader, FRONT);
    const all = await topNaming('', READER, FRONT);
    assert.doesNotMatch(all, / dist\//, 'what is compiled is named by its sources');
  } finally {
    isOver = true;
    await Promise.all(clients);
    await astera.dispose();
  }
});

test('a server with --pprof gives profiles to `go tool pprof` by URL, and one without answers 404', async () => {
  const astera = await Astera.start({ upstream: 'off', flags: ['--pprof'] });
  try {
    const flags = ['tool', 'pprof', '-top', `${astera.url}/debug/pprof/profile?seconds=1`];
    const env = { ...process.env, PPROF_TMPDIR: directory };
    assert.match(execFileSync('go', flags, { encoding: 'utf8', env, stdio: 'pipe' }), /^Type: cpu$/m);
    for (const query of ['seconds=0', 'seconds=301', 'seconds=1e1', 'thread=main']) {
      assert.equal((await astera.get(`debug/pprof/profile?${query}`)).status, 400, query);
    }
    const [first, second] = await Promise.all([
      astera.get('debug/pprof/profile?seconds=1&thread=writer'),
      astera.get('debug/pprof/profile?seconds=1&thread=writer'),
    ]);
    assert.deepEqual([first.status, second.status].sort(), [200, 503]);
    assert.equal((await astera.get('debug/pprof/heap?thread=builder')).status, 200);
    await astera.stop();
  } finally {
    await astera.dispose();
  }
  const plain = await Astera.start({ upstream: 'off' });
  try {
    const answer = await plain.get('debug/pprof/heap');
    assert.equal(answer.status, 404);
    assert.match(await answer.text(), /--pprof/);
  } finally {
    await plain.dispose();
  }
});
