// Goal: on a second machine `go build`, `list`, `vet` and `test` get what the first one made by a few requests, directly and
// through an office's own plugin server; a command that follows another one fetches what is new alone.
// Method: the real `go` command, an Astera that all share, and the cache program's own counts of requests and bytes.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { ASTERA, Astera, runAstera } from '../support/astera.ts';
import { assertWhole, buildClient, programHash, succeeds } from '../support/cached-build.ts';
import { CHECKOUT } from '../support/corpus.ts';
import { servePlugin } from '../support/plugin-process.ts';
import { SlowRelay } from '../support/slow-relay.ts';
import { suiteOwner } from '../support/suite-owner.ts';
import { tempDir } from '../support/temp-dir.ts';
import { times } from '../support/times.ts';

/** `go test` needs what `build` made, and the packages of the tests. */
const COMMANDS = {
  build: ['build', '-x', '-o', 'app', '.'],
  list: ['list', '-x', '-export', '-deps', '-f', '{{.Export}}', '.'],
  vet: ['vet', '-x', './...'],
  test: ['test', '-x', './...'],
} as const;
const owner = suiteOwner();
let central: Astera;
/** The program that the first machine made. */
let expected = '';

before(async () => {
  central = await Astera.start({ upstream: 'off', flags: ['--sumdb', 'off'] });
  owner.after(() => central.dispose());
  const first = await machine(owner, {});
  for (const command of Object.values(COMMANDS)) await succeeds(first.go, ...command);
  expected = programHash(first.go);
});

test('each command gets what it needs by few requests, and what the one before has brought does not come again', {
  timeout: 300_000,
}, async (t) => {
  const relay = await SlowRelay.start(central.url, 20);
  t.after(() => relay.stop());
  const { go, cacheDir } = await machine(t, { url: relay.url, flags: ['--metrics'] });
  const counts: Record<string, Counts> = {};
  for (const [name, command] of Object.entries(COMMANDS)) {
    const { stdout, stderr } = await succeeds(go, ...command);
    assertNothingMade(stderr);
    if (name === 'test') assert.match(stdout, /^ok .*\(cached\)$/m);
    counts[name] = readCounts(stderr);
  }
  const { build, list, vet, test } = counts;
  assert.ok(build && list && vet && test);
  t.diagnostic(JSON.stringify(counts));
  assert.ok(build.remoteHits > 50 && build.prefetched > 1_000_000);
  // A busy machine may ask for some alone, when it has waited too long for the stream.
  for (const one of [build, vet, test])
    assert.ok(one.requests < 20 + one.remoteHits / 4, JSON.stringify(one));
  assert.ok(build.unused < 0.2 * build.prefetched);
  // All of it is here: nothing is asked for but filters.
  assert.ok(list.requests <= 4 && list.prefetched === 0, JSON.stringify(list));
  for (const one of [vet, test]) assert.ok(one.unused < 0.1 * build.prefetched, JSON.stringify(one));
  assert.equal(programHash(go), expected);
  assertWhole(cacheDir);
});

test('so do the commands of an office whose plugin server has its cache elsewhere', {
  timeout: 300_000,
}, async (t) => {
  const relay = await SlowRelay.start(central.url, 20);
  t.after(() => relay.stop());
  const cacheDir = join(tempDir(t), 'cache');
  const flags = ['--plugin=0', `--remote=${relay.url}`, `--cache-dir=${cacheDir}`, '--metrics'];
  const server = await servePlugin(t, [...flags, '--remote-timeout=20s']);
  const clients = await Promise.all(
    [1, 2].map(() => buildClient({ program: `${ASTERA} connect ${server.port}` })),
  );
  for (const go of clients) t.after(() => go.dispose());
  for (const command of Object.values(COMMANDS)) {
    // Two machines' commands at once, of one name: one stream serves both.
    for (const { stderr } of await Promise.all(clients.map((go) => succeeds(go, ...command)))) {
      assertNothingMade(stderr);
      assert.doesNotMatch(stderr, /astera connect/);
    }
  }
  for (const go of clients) assert.equal(programHash(go), expected);
  server.child.kill('SIGTERM');
  assert.deepEqual(await once(server.child, 'exit'), [0, null]);
  const counts = readCounts(server.log());
  t.diagnostic(JSON.stringify(counts));
  assert.ok(counts.remoteHits > 100 && counts.requests < 40 + counts.remoteHits / 4, JSON.stringify(counts));
  assert.ok(counts.unused < 0.2 * counts.prefetched, JSON.stringify(counts));
  assertWhole(cacheDir);
  const { code, stdout } = await runAstera(['verify', '--db', central.db]);
  assert.equal(code, 0, stdout);
});

test('many go commands at once on one server and one directory', { timeout: 900_000 }, async (t) => {
  const { go, cacheDir } = await machine(t, {});
  const changed = 'package lib\n\nconst AtOnce = true\n';
  await writeFile(join(go.project, 'lib/more.go'), changed);
  const atOnce = times({ short: 8, long: 64 });
  const results = await Promise.all(Array.from({ length: atOnce }, () => go.run('build', './lib')));
  for (const { code, stderr } of results) assert.equal(code, 0, stderr);
  assertWhole(cacheDir);
  const second = await machine(t, {});
  await writeFile(join(second.go.project, 'lib/more.go'), changed);
  assertNothingMade((await succeeds(second.go, 'build', '-x', './lib')).stderr);
  const { code, stdout } = await runAstera(['verify', '--db', central.db]);
  assert.equal(code, 0, stdout);
});

/** A machine whose program asks the central server itself, or by a line to it. */
async function machine(
  t: Parameters<typeof tempDir>[0],
  { url = central.url, flags = [] }: { readonly url?: string; readonly flags?: readonly string[] },
) {
  const cacheDir = join(tempDir(t), 'cache');
  const program = [process.execPath, join(CHECKOUT, 'dist/cacheprog.mjs'), `--cache-dir=${cacheDir}`];
  const all = [...program, `--remote=${url}`, '--remote-timeout=20s', '--close-wait=60s', ...flags];
  const go = await buildClient({ program: all.join(' ') });
  t.after(() => void go.dispose());
  return { go, cacheDir };
}

/** Of what `-x` shows: no compiler and no vet tool ran. The test's program is linked anew by each machine. */
function assertNothingMade(stderr: string): void {
  assert.doesNotMatch(stderr, /\/(?:compile|asm|vet) /);
}

type Counts = ReturnType<typeof readCounts>;

function readCounts(text: string) {
  const told = (what: RegExp) => Number(new RegExp(`(\\d+) ${what.source}`).exec(text)?.[1]);
  return {
    remoteHits: told(/of them remote/),
    misses: told(/misses/),
    ruledOut: told(/without a request/),
    requests: told(/requests/),
    prefetched: told(/bytes prefetched/),
    unused: told(/of them unused/),
  };
}
