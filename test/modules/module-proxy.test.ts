// Goal: each answer comes from the right place and is fresh for the right time, and a stored answer outlives failures.
// Method: the real service over a real store; the test sets the upstream's answers and the clock. Each row of DESIGN's
// table of freshness has its tests. `restarted` empties the memory, so that the store must answer.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Verdict } from '../../src/core/checksums.ts';
import {
  Busy,
  CheckFailed,
  Forbidden,
  Gone,
  Loop,
  NotFound,
  StoreFailed,
  UpstreamDown,
  UpstreamFailed,
} from '../../src/core/errors.ts';
import {
  LIST_TTL_MS,
  makeRig,
  NEGATIVE_TTL_MS,
  openLocalStore,
  REFUSED_MS,
  type Rig,
  type RigOptions,
  settled,
} from '../support/fakes.ts';
import { tempDir } from '../support/temp-dir.ts';

const MODULE = 'example.com/a';
const INFO = `${MODULE}/@v/v1.0.0.info`;
const MOD = `${MODULE}/@v/v1.0.0.mod`;
const ZIP = `${MODULE}/@v/v1.0.0.zip`;
const LIST = `${MODULE}/@v/list`;
const LATEST = `${MODULE}/@latest`;
const BRANCH = `${MODULE}/@v/master.info`;

const info = (version: string) => `{"Version":"${version}","Time":"2024-02-03T04:05:06Z"}`;
const down = new UpstreamDown('cannot reach proxy.example');

function rig(t: TestContext, options: RigOptions = {}): Rig {
  const store = openLocalStore(join(tempDir(t), 'a.db'));
  t.after(() => store.close());
  return makeRig(store, options);
}

/** A rig whose upstream has a module with two versions. */
function filled(t: TestContext, options: RigOptions = {}): Rig {
  const made = rig(t, options);
  const { says } = made.upstream;
  says.set(INFO, info('v1.0.0'));
  says.set(MOD, 'module example.com/a\n');
  says.set(ZIP, 'zip of v1.0.0');
  says.set(LIST, 'v1.0.0\nv1.1.0\n');
  says.set(LATEST, info('v1.1.0'));
  says.set(BRANCH, info('v1.2.0-0.20240203040506-abcdefabcdef'));
  return made;
}

test('answers come first from the upstream, then from memory; after a restart from the store, then from memory', async (t) => {
  for (const path of [INFO, MOD, ZIP, LIST, LATEST, BRANCH]) {
    const first = filled(t);
    const body = Buffer.from(first.upstream.says.get(path) as string).toString();
    assert.equal(await first.ask(path), `200 upstream ${body}`, path);
    await settled();
    assert.equal(await first.ask(path), `200 memory ${body}`, path);
    const second = first.restarted();
    assert.equal(await second.ask(path), `200 store ${body}`, path);
    assert.equal(await second.ask(path), `200 memory ${body}`, path);
    assert.deepEqual(first.upstream.paths, [path], 'asked for once, and for nothing else');
  }
});

test('an answer has its hash and size once it is stored', async (t) => {
  const made = filled(t);
  await made.get(MOD);
  await settled();
  const stored = await made.get(MOD);
  assert.match(stored.sha256 ?? '', /^[0-9a-f]{64}$/);
  assert.deepEqual(stored.size, 21);
  assert.equal((await made.restarted().get(MOD)).sha256, stored.sha256);
});

test('an answer over a chunk comes from the store piece by piece', async (t) => {
  const made = rig(t);
  made.upstream.says.set(LIST, `${'v1.0.0\n'.repeat(100_000)}`);
  await made.ask(LIST);
  await settled();
  const again = made.restarted();
  const answer = await again.get(LIST);
  assert.equal(answer.size, 700_000);
  assert.equal(await again.ask(LIST), `200 memory ${'v1.0.0\n'.repeat(100_000)}`);
  assert.equal(
    made.store.calls.filter((call) => call === 'getChunk').length,
    2,
    'the first came with the entry',
  );
});

// DESIGN, Freshness: row by row.

type Row = {
  why: string;
  path: string;
  passMs: number;
  /** The upstream's second answer. */
  says: string | Error;
  expect: string;
  asked: number;
};

const list = 'v1.0.0\nv1.1.0\n';
const rows: Row[] = [
  {
    why: 'an .info of a version is for ever',
    path: INFO,
    passMs: 1e12,
    says: down,
    expect: `200 store ${info('v1.0.0')}`,
    asked: 1,
  },
  {
    why: 'a .mod is for ever',
    path: MOD,
    passMs: 1e12,
    says: down,
    expect: '200 store module example.com/a\n',
    asked: 1,
  },
  {
    why: 'a .zip is for ever',
    path: ZIP,
    passMs: 1e12,
    says: down,
    expect: '200 store zip of v1.0.0',
    asked: 1,
  },
  {
    why: 'a list is fresh for its time',
    path: LIST,
    passMs: LIST_TTL_MS - 1,
    says: 'v9.0.0\n',
    expect: `200 store ${list}`,
    asked: 1,
  },
  {
    why: 'a list is asked for again after it',
    path: LIST,
    passMs: LIST_TTL_MS,
    says: 'v9.0.0\n',
    expect: '200 upstream v9.0.0\n',
    asked: 2,
  },
  {
    why: 'a list that did not change',
    path: LIST,
    passMs: LIST_TTL_MS,
    says: list,
    expect: `200 upstream ${list}`,
    asked: 2,
  },
  {
    why: 'a list outlives a dead upstream',
    path: LIST,
    passMs: 1e12,
    says: down,
    expect: `200 stale ${list}`,
    asked: 2,
  },
  {
    why: 'a list outlives a broken upstream',
    path: LIST,
    passMs: LIST_TTL_MS,
    says: new UpstreamFailed('502'),
    expect: `200 stale ${list}`,
    asked: 2,
  },
  {
    why: 'a list outlives an upstream that is busy',
    path: LIST,
    passMs: LIST_TTL_MS,
    says: new Busy('full'),
    expect: `200 stale ${list}`,
    asked: 2,
  },
  {
    why: 'a stored list wins over a later 404',
    path: LIST,
    passMs: LIST_TTL_MS,
    says: new NotFound('gone'),
    expect: `200 stale ${list}`,
    asked: 2,
  },
  {
    why: 'a stored list wins over a later 410',
    path: LIST,
    passMs: LIST_TTL_MS,
    says: new Gone('gone'),
    expect: `200 stale ${list}`,
    asked: 2,
  },
  {
    why: 'a stored list wins over markup',
    path: LIST,
    passMs: LIST_TTL_MS,
    says: '<html>',
    expect: `200 stale ${list}`,
    asked: 2,
  },
  {
    why: '@latest is fresh for its time',
    path: LATEST,
    passMs: LIST_TTL_MS - 1,
    says: info('v9.0.0'),
    expect: `200 store ${info('v1.1.0')}`,
    asked: 1,
  },
  {
    why: '@latest is asked for again after it',
    path: LATEST,
    passMs: LIST_TTL_MS,
    says: info('v9.0.0'),
    expect: `200 upstream ${info('v9.0.0')}`,
    asked: 2,
  },
  {
    why: '@latest wins over JSON garbage',
    path: LATEST,
    passMs: LIST_TTL_MS,
    says: '{"Version":',
    expect: `200 stale ${info('v1.1.0')}`,
    asked: 2,
  },
  {
    why: 'a branch is asked for again after its time',
    path: BRANCH,
    passMs: LIST_TTL_MS,
    says: info('v1.3.0'),
    expect: `200 upstream ${info('v1.3.0')}`,
    asked: 2,
  },
  {
    why: 'a branch outlives a dead upstream',
    path: BRANCH,
    passMs: 1e12,
    says: down,
    expect: `200 stale ${info('v1.2.0-0.20240203040506-abcdefabcdef')}`,
    asked: 2,
  },
];

for (const { why, path, passMs, says, expect, asked } of rows) {
  for (const isRestarted of [true, false]) {
    test(`freshness: ${why} (${isRestarted ? 'from the store' : 'from memory'})`, async (t) => {
      const first = filled(t);
      await first.ask(path);
      await settled();
      first.clock.pass(passMs);
      first.upstream.says.set(path, says);
      const second = isRestarted ? first.restarted() : first;
      assert.equal(await second.ask(path), isRestarted ? expect : expect.replace('200 store', '200 memory'));
      assert.equal(first.upstream.asked.length, asked);
    });
  }
}

const negatives: Row[] = [
  {
    why: 'a 404 is fresh for its time',
    path: LIST,
    passMs: NEGATIVE_TTL_MS - 1,
    says: 'v9.0.0\n',
    expect: '404 store first\n',
    asked: 1,
  },
  {
    why: 'a 404 is asked for again after it, and a success replaces it',
    path: LIST,
    passMs: NEGATIVE_TTL_MS,
    says: 'v9.0.0\n',
    expect: '200 upstream v9.0.0\n',
    asked: 2,
  },
  {
    why: 'a 404 of a version is asked for again too',
    path: MOD,
    passMs: NEGATIVE_TTL_MS,
    says: 'module example.com/a\n',
    expect: '200 upstream module example.com/a\n',
    asked: 2,
  },
  {
    why: 'a 404 of a zip is asked for again too',
    path: ZIP,
    passMs: NEGATIVE_TTL_MS,
    says: 'zip',
    expect: '200 upstream zip',
    asked: 2,
  },
  {
    why: 'a 404 outlives a dead upstream',
    path: LIST,
    passMs: 1e12,
    says: down,
    expect: '404 stale first\n',
    asked: 2,
  },
  {
    why: 'a 404 outlives a broken upstream',
    path: LIST,
    passMs: 1e12,
    says: new UpstreamFailed('502'),
    expect: '404 stale first\n',
    asked: 2,
  },
  {
    why: 'a 404 of a zip outlives a dead upstream',
    path: ZIP,
    passMs: 1e12,
    says: down,
    expect: '404 stale first\n',
    asked: 2,
  },
  {
    why: 'a 404 that the upstream repeats',
    path: LIST,
    passMs: NEGATIVE_TTL_MS,
    says: new NotFound('second'),
    expect: '404 upstream second\n',
    asked: 2,
  },
  {
    why: 'a 404 may become a 410',
    path: LIST,
    passMs: NEGATIVE_TTL_MS,
    says: new Gone('for good'),
    expect: '410 upstream for good\n',
    asked: 2,
  },
];

for (const { why, path, passMs, says, expect, asked } of negatives) {
  test(`freshness: ${why}`, async (t) => {
    const first = rig(t);
    first.upstream.says.set(path, new NotFound('first'));
    assert.equal(await first.ask(path), '404 upstream first\n');
    await settled();
    first.clock.pass(passMs);
    first.upstream.says.set(path, says);
    const second = first.restarted();
    assert.equal(await second.ask(path), expect);
    assert.equal(first.upstream.asked.length, asked);
    await settled();
    if (asked === 2 && expect.includes('upstream')) {
      assert.match(await second.restarted().ask(path), /^\d+ store /, 'the new answer counts from now on');
      assert.equal(first.upstream.asked.length, asked);
    }
  });
}

test('an answer from the future is stale, never fresh', async (t) => {
  for (const path of [LIST, `${MODULE}/none/@v/list`]) {
    const first = filled(t);
    await first.ask(path);
    await settled();
    first.clock.wall -= 3_600_000; // The clock was an hour ahead.
    const second = first.restarted();
    await second.ask(path);
    assert.equal(first.upstream.asked.length, 2, path);
    await settled();
    first.clock.wall -= 3_600_000;
    first.upstream.says.set(path, down);
    assert.match(await second.restarted().ask(path), /^\d+ stale /);
  }
});

test('a clock that jumps changes nothing for files in memory', async (t) => {
  const made = filled(t);
  await made.ask(LIST);
  await settled();
  made.clock.wall += 1e12;
  assert.equal(await made.ask(LIST), `200 memory ${list}`);
  made.clock.wall -= 2e12;
  assert.equal(await made.ask(LIST), `200 memory ${list}`);
});

test('after the stale wait the stored answer goes out, and the refresh runs on', async (t) => {
  const first = filled(t);
  await first.ask(LIST);
  await settled();
  first.clock.pass(LIST_TTL_MS);
  const answered = Promise.withResolvers<Uint8Array>();
  first.upstream.says.set(LIST, () => answered.promise);
  const second = first.restarted({ staleWaitMs: 1 });
  assert.equal(await second.ask(LIST), `200 stale ${list}`);
  assert.equal(await second.ask(LIST), `200 stale ${list}`, 'joins, and is answered at once');
  assert.equal(first.upstream.asked.length, 2, 'one refresh for both');
  answered.resolve(Buffer.from('v9.0.0\n'));
  await settled();
  assert.equal(await second.ask(LIST), '200 memory v9.0.0\n');
});

test('a refresh that fails after the stale wait harms nobody, and the next caller asks again', async (t) => {
  const first = filled(t);
  await first.ask(LIST);
  await settled();
  first.clock.pass(LIST_TTL_MS);
  const answered = Promise.withResolvers<Uint8Array>();
  first.upstream.says.set(LIST, () => answered.promise);
  const second = first.restarted({ staleWaitMs: 1 });
  assert.equal(await second.ask(LIST), `200 stale ${list}`);
  answered.reject(down);
  await settled();
  first.upstream.says.set(LIST, 'v9.0.0\n');
  assert.equal(await second.ask(LIST), '200 upstream v9.0.0\n');
});

test('while a refresh is overdue and none succeeds, other clients are answered at once', async (t) => {
  const first = filled(t);
  for (const path of [LIST, LATEST]) await first.ask(path);
  await settled();
  first.clock.pass(LIST_TTL_MS);
  for (const path of [LIST, LATEST]) first.upstream.says.set(path, () => new Promise(() => {}));
  const second = first.restarted({ staleWaitMs: 100 });
  assert.match(await second.ask(LIST), /^200 stale /);
  let answer = 'none yet';
  void second.ask(LATEST).then((text) => {
    answer = text;
  });
  await settled();
  assert.match(answer, /^200 stale /, 'no second wait');
  assert.equal(first.upstream.asked.length, 4, 'the upstream is asked all the same');
});

test('while the upstream counts as down a stored file goes out at once', async (t) => {
  const first = filled(t);
  await first.ask(LIST);
  await settled();
  first.clock.pass(LIST_TTL_MS);
  first.upstream.says.set(LIST, () => new Promise(() => {}));
  first.upstream.isDown = true;
  assert.equal(await first.restarted().ask(LIST), `200 stale ${list}`);
  assert.equal(first.upstream.asked.length, 2, 'one probe goes out all the same');
});

// With nothing stored the upstream's answer goes out. An unreachable upstream is never a 404.

const failures: { error: Error; why: string }[] = [
  { error: down, why: 'unreachable' },
  { error: new UpstreamFailed('proxy.example answered 502'), why: 'a 502' },
  { error: new Busy('too many'), why: 'busy' },
];

for (const { error, why } of failures) {
  test(`with nothing stored an upstream's failure (${why}) is the answer, and is not remembered`, async (t) => {
    for (const path of [INFO, MOD, ZIP, LIST, LATEST, BRANCH]) {
      const made = filled(t);
      const good = made.upstream.says.get(path) ?? '';
      made.upstream.says.set(path, error);
      await assert.rejects(made.ask(path), error, path);
      await assert.rejects(made.ask(path, { isHead: true }), error, `HEAD ${path}`);
      made.upstream.says.set(path, good);
      assert.match(await made.ask(path), /^200 upstream /);
    }
  });
}

// Wrong answers.

const refusals: { path: string; says: string; why: string }[] = [
  { path: INFO, says: info('v1.0.1'), why: 'an .info of another version' },
  { path: INFO, says: '<!DOCTYPE html><p>Log in</p>', why: 'a page of HTML' },
  { path: INFO, says: '{"Version":"v1.0.0"', why: 'JSON cut off' },
  { path: INFO, says: '["v1.0.0"]', why: 'JSON of another form' },
  { path: INFO, says: 'null', why: 'null' },
  { path: INFO, says: '{"Version":"v1.0.0","Time":"yesterday"}', why: 'a time that is none' },
  { path: LATEST, says: '{"Version":"master"}', why: '@latest without a canonical version' },
  { path: BRANCH, says: '{"Version":1}', why: 'a version that is no text' },
  { path: MOD, says: '  <html>', why: 'a go.mod that is markup' },
  { path: LIST, says: '<html>', why: 'a list that is markup' },
];

for (const { path, says, why } of refusals) {
  test(`refused and not kept: ${why}`, async (t) => {
    const made = rig(t);
    made.upstream.says.set(path, says);
    await assert.rejects(made.ask(path), CheckFailed);
    await settled();
    assert.ok(!made.store.calls.includes('putEntry'));
    await assert.rejects(made.restarted({ isOffline: true }).ask(path), NotFound);
  });
}

test('a zip the builder refuses is an error for its client, and nothing of it is kept', async (t) => {
  const made = filled(t);
  made.builder.refuses = 'cannot read zip: entry outside the module';
  await assert.rejects(made.ask(ZIP), CheckFailed);
  await settled();
  assert.deepEqual(
    made.builder.checked.map(({ module, version }) => [module, version]),
    [[MODULE, 'v1.0.0']],
  );
  await assert.rejects(made.restarted({ isOffline: true }).ask(ZIP), NotFound);
  made.builder.refuses = undefined;
  assert.equal(await made.ask(ZIP), '200 upstream zip of v1.0.0', 'a failure is not remembered');
});

// Concurrent callers.

test('concurrent callers of one key cost one fetch and one read of the store', async (t) => {
  for (const path of [MOD, LIST, ZIP, `${MODULE}/none/@v/list`]) {
    const made = filled(t);
    const answers = await Promise.all(Array.from({ length: 40 }, () => made.ask(path)));
    assert.equal(new Set(answers).size, 1);
    assert.deepEqual(made.upstream.paths, [path]);
    assert.equal(made.store.calls.filter((call) => call === 'getEntry').length, 1);
  }
});

test('forty callers of a failing key share one failure', async (t) => {
  const made = rig(t);
  made.upstream.says.set(MOD, down);
  const outcomes = await Promise.allSettled(Array.from({ length: 40 }, () => made.ask(MOD)));
  for (const outcome of outcomes) assert.ok(outcome.status === 'rejected' && outcome.reason === down);
  assert.equal(made.upstream.asked.length, 1);
});

test('a caller that comes after the answer, but before it is stored, is answered from memory', async (t) => {
  const made = filled(t);
  await made.ask(MOD);
  assert.match(await made.ask(MOD), /^200 memory /);
  assert.equal(made.upstream.asked.length, 1);
});

// Requests that may not use the network.

test('a request that may not use the network gets the stored answer, however old, else a 404', async (t) => {
  const first = filled(t);
  for (const path of [INFO, MOD, ZIP, LIST, LATEST, BRANCH, `${MODULE}/none/@v/list`]) await first.ask(path);
  await settled();
  first.clock.pass(1e12);
  const before = first.upstream.asked.length;
  for (const [options, how] of [
    [{ isOffline: true }, {}],
    [{}, { mayFetch: false }],
  ] as const) {
    const second = first.restarted(options);
    assert.equal(await second.ask(LIST, how), `200 store ${list}`);
    assert.equal(await second.ask(LIST, how), `200 memory ${list}`);
    assert.equal(await second.ask(ZIP, how), '200 store zip of v1.0.0');
    assert.match(await second.ask(`${MODULE}/none/@v/list`, how), /^404 store /);
    await assert.rejects(second.ask('example.com/b/@v/list', how), NotFound);
    await assert.rejects(second.ask('example.com/b/@v/v1.0.0.zip', { ...how, isHead: true }), NotFound);
  }
  assert.equal(first.upstream.asked.length, before, 'nothing was asked');
});

test('a request that may not use the network does not wait for one that may', async (t) => {
  const made = rig(t);
  made.upstream.says.set(MOD, () => new Promise(() => {}));
  void made.get(MOD).catch(() => {});
  await settled();
  assert.equal(made.upstream.asked.length, 1, 'somebody is on the way');
  await assert.rejects(made.ask(MOD, { mayFetch: false }), NotFound);
});

// Lists and @latest out of the store.

const stored = ['v1.0.0', 'v1.10.0', 'v1.9.0', 'v2.0.0-rc.1', 'v0.0.0-20240203040506-abcdefabcdef'];

async function withVersions(t: TestContext, versions: readonly string[]): Promise<Rig> {
  const made = rig(t);
  for (const version of versions) {
    made.upstream.says.set(`${MODULE}/@v/${version}.info`, info(version));
    await made.ask(`${MODULE}/@v/${version}.info`);
  }
  await settled();
  return made.restarted();
}

for (const how of ['down', 'offline'] as const) {
  test(`a list that is not stored is computed from the versions (${how}), without pseudo-versions`, async (t) => {
    const versions = stored.filter((version) => !version.startsWith('v2'));
    const made = await withVersions(t, versions);
    for (const path of [LIST, LATEST]) made.upstream.says.set(path, down);
    const asked = how === 'offline' ? made.restarted({ isOffline: true }) : made;
    assert.equal(await asked.ask(LIST), '200 computed v1.0.0\nv1.9.0\nv1.10.0\n');
    assert.equal(await asked.ask(LATEST), `200 computed ${info('v1.10.0')}`);
    for (const path of [LIST, LATEST]) {
      assert.equal((await asked.get(path, { isHead: true })).origin, 'computed', `HEAD ${path}`);
    }
    await settled();
    made.upstream.says.set(LIST, 'v9.0.0\n');
    if (how === 'down')
      assert.equal(await asked.ask(LIST), '200 upstream v9.0.0\n', 'nothing computed is kept');
  });
}

const latest: { versions: string[]; expect: string; why: string }[] = [
  { versions: ['v1.0.0', 'v1.1.0-rc.1'], expect: 'v1.0.0', why: 'a release before a later pre-release' },
  { versions: ['v1.1.0-alpha', 'v1.1.0-rc.1'], expect: 'v1.1.0-rc.1', why: 'the highest pre-release' },
  {
    versions: ['v0.0.0-20230203040506-abcdefabcdef', 'v0.0.0-20240203040506-abcdefabcdef'],
    expect: 'v0.0.0-20240203040506-abcdefabcdef',
    why: 'the newest pseudo-version where there is nothing else',
  },
  {
    versions: ['v0.1.0-alpha', 'v0.1.0-beta.0.20240203040506-abcdefabcdef'],
    expect: 'v0.1.0-alpha',
    why: 'a pre-release before a pseudo-version',
  },
];

for (const { versions, expect, why } of latest) {
  test(`computed @latest: ${why}`, async (t) => {
    const made = await withVersions(t, versions);
    made.upstream.says.set(LATEST, down);
    assert.equal(await made.ask(LATEST), `200 computed ${info(expect)}`);
  });
}

test('nothing is computed if the upstream says 404 or is broken, or if there are no versions', async (t) => {
  const made = await withVersions(t, ['v1.0.0']);
  made.upstream.says.set(LIST, new UpstreamFailed('502'));
  await assert.rejects(made.ask(LIST), UpstreamFailed);
  made.upstream.says.delete(LATEST);
  assert.match(await made.ask(LATEST), /^404 upstream /);
  made.upstream.says.set('example.com/b/@v/list', down);
  await assert.rejects(made.ask('example.com/b/@v/list'), UpstreamDown);
});

// Private modules.

test('private modules are refused before anything is asked or read', async (t) => {
  const made = filled(t, { noProxyPatterns: '*.corp.example,example.com/a' });
  for (const path of [LIST, ZIP, `${MODULE}/sub/@v/list`, 'git.corp.example/x/@v/v1.0.0.mod']) {
    for (const how of [{}, { isHead: true }, { mayFetch: false }]) {
      await assert.rejects(made.ask(path, how), (error: unknown) => {
        assert.ok(error instanceof Forbidden);
        assert.match(error.message, /may go to no upstream \(GONOPROXY/);
        return true;
      });
    }
  }
  assert.deepEqual([made.upstream.paths, made.store.calls], [[], []]);
  assert.match(await made.ask('example.com/ab/@v/list'), /^404 upstream /);
});

// HEAD.

test('a cold HEAD asks by HEAD and stores nothing; a HEAD of a stored file asks nobody', async (t) => {
  const made = filled(t);
  const cold = await made.get(ZIP, { isHead: true });
  assert.deepEqual([cold.status, cold.origin, cold.size, cold.body], [200, 'upstream', 13, undefined]);
  assert.deepEqual(
    made.upstream.asked.map(({ how }) => how),
    ['head'],
  );
  assert.ok(!made.store.calls.includes('putEntry'));
  await made.ask(ZIP);
  await settled();
  assert.match(await made.restarted().ask(ZIP, { isHead: true }), /^200 store /);
  assert.match(await made.ask(ZIP, { isHead: true }), /^200 memory /);
  assert.equal(made.upstream.asked.length, 2);
});

test('concurrent HEADs of one cold key share one question, and its answer is remembered', async (t) => {
  const made = filled(t);
  const missing = `${MODULE}/@v/v9.9.9.zip`;
  const sizes = await Promise.all(Array.from({ length: 200 }, () => made.get(ZIP, { isHead: true })));
  assert.deepEqual(new Set(sizes.map(({ size }) => size)), new Set([13]));
  assert.deepEqual((await made.get(ZIP, { isHead: true })).origin, 'memory');
  const answers = await Promise.all(Array.from({ length: 200 }, () => made.get(missing, { isHead: true })));
  assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([404]));
  await settled();
  assert.match(await made.restarted().ask(missing), /^404 store /);
  assert.deepEqual(
    made.upstream.asked.map(({ how, path }) => `${how} ${path}`),
    [`head ${ZIP}`, `head ${missing}`],
  );
  made.clock.pass(NEGATIVE_TTL_MS);
  assert.equal((await made.get(ZIP, { isHead: true })).origin, 'upstream', 'for its time');
  assert.match(await made.ask(ZIP), /^200 upstream zip of v1.0.0/, 'a GET gets the file');
});

// Loops: the error of one client.

/** An upstream that answers a request with a Via by a loop, when the test lets it. */
function circling(made: Rig): { lead(): void } {
  const held = Promise.withResolvers<void>();
  for (const [path, text] of [
    [MOD, 'module example.com/a\n'],
    [ZIP, 'zip of v1.0.0'],
  ] as const) {
    made.upstream.says.set(path, async () => {
      const asked = made.upstream.asked.findLast((one) => one.path === path);
      if (asked?.request.via === undefined) return Buffer.from(text);
      await held.promise;
      throw new Loop('refused: this request has passed 4 Asteras');
    });
  }
  return { lead: held.resolve };
}

test('a loop is the error of the client that brought it, and not of clients that joined its flight', async (t) => {
  for (const path of [MOD, ZIP]) {
    const made = rig(t);
    const { lead } = circling(made);
    const looping = assert.rejects(made.get(path, { via: '1.1 mirror' }), Loop);
    await settled();
    const honest = Array.from({ length: 40 }, () => made.get(path));
    lead();
    await looping;
    const statuses = (await Promise.all(honest)).map(({ status }) => status);
    assert.deepEqual(new Set(statuses), new Set([200]), path);
    assert.equal(made.upstream.paths.length, 2, 'the honest ones share one more fetch');
  }
});

test('a loop of a HEAD is not the error of other clients either', async (t) => {
  const made = rig(t);
  const { lead } = circling(made);
  const looping = assert.rejects(made.get(ZIP, { isHead: true, via: '1.1 mirror' }), Loop);
  await settled();
  const honest = made.get(ZIP, { isHead: true });
  lead();
  await looping;
  assert.equal((await honest).size, 13);
});

// The checksum database.

test('the checksum database hears of a version only when the upstream has it', async (t) => {
  const made = filled(t, { verify: 'store' });
  const missing = ['info', 'mod', 'zip'].map((ending) => `${MODULE}/@v/v9.9.9.${ending}`);
  for (const path of missing) {
    await made.ask(path);
    await made.ask(path, { isHead: true });
  }
  assert.deepEqual([made.checksums.prefetched, made.checksums.judged], [[], []]);
  await made.ask(INFO);
  assert.deepEqual(
    made.checksums.prefetched.map(({ version }) => version),
    ['v1.0.0'],
  );
});

test('the client’s Via goes on to the upstream', async (t) => {
  const made = filled(t);
  for (const path of [MOD, ZIP]) await made.get(path, { via: '1.1 astera-x' });
  await made.get(`${MODULE}/@v/v2.0.0.mod`, { isHead: true, via: '1.1 astera-x' }).catch(() => {});
  assert.deepEqual(
    made.upstream.asked.map(({ request }) => request.via),
    Array(3).fill('1.1 astera-x'),
  );
});

test('a file that lands while the upstream is asked about a loop is not fetched again', async (t) => {
  const made = rig(t);
  const tell: ((bytes: Uint8Array) => void)[] = [];
  made.upstream.says.set(MOD, () => new Promise((resolve) => tell.push(resolve)));
  const first = made.ask(MOD);
  await settled();
  const second = made.get(MOD, { via: '1.1 astera-x' });
  await settled();
  assert.deepEqual(
    made.upstream.asked.map(({ how }) => how),
    ['whole', 'head'],
  );
  const text = 'module example.com/a\n';
  tell[0]?.(Buffer.from(text));
  assert.equal(await first, `200 upstream ${text}`);
  await settled();
  tell[1]?.(Buffer.from(text));
  assert.equal((await second).origin, 'memory');
  assert.equal(made.upstream.asked.length, 2);
});

// A store that fails.

test('a file that could not be stored is served all the same, and logged', async (t) => {
  const made = filled(t);
  for (const call of ['putEntry', 'revalidateEntry'])
    made.store.failures.set(call, new StoreFailed('disk is full'));
  for (const path of [MOD, LIST, ZIP, `${MODULE}/none/@v/list`]) {
    assert.match(await made.ask(path), /^(200|404) upstream /);
    await settled();
    assert.ok(made.events.seen.includes(`notStored ${path}`), path);
    assert.match(await made.ask(path), /^(200|404) memory /, 'memory has it');
  }
  made.store.failures.clear();
  assert.match(await made.restarted().ask(MOD), /^200 upstream /, 'nothing of it was stored');
});

test('a store that cannot be read is an error of the store, and not remembered', async (t) => {
  const made = filled(t);
  made.store.failures.set('getEntry', new StoreFailed('the reader died'));
  await assert.rejects(made.ask(MOD), StoreFailed);
  made.store.failures.clear();
  assert.match(await made.ask(MOD), /^200 upstream /);
});

// The hot path.

test('peek sees only files that are fresh and in memory', async (t) => {
  const made = filled(t);
  assert.equal(made.proxy.peek(MOD), undefined);
  await made.ask(MOD);
  await made.ask(LIST);
  assert.equal(made.proxy.peek(MOD)?.status, 200);
  assert.equal(made.proxy.peek(LIST)?.status, 200);
  made.clock.pass(LIST_TTL_MS);
  assert.equal(made.proxy.peek(LIST), undefined, 'stale');
  assert.equal(made.proxy.peek(MOD)?.status, 200, 'for ever');
});

test('a body of up to 64 KiB is there at once, and so is a zip of one piece', async (t) => {
  const made = rig(t);
  const bodies = [
    [MOD, 30_000],
    [LIST, 70_000],
    [ZIP, 64 * 1024],
    [`${MODULE}/@v/v1.0.1.zip`, 64 * 1024 + 1],
  ] as const;
  for (const [path, size] of bodies) made.upstream.says.set(path, Buffer.alloc(size, 'x'));
  for (const [path] of bodies) await made.ask(path);
  await settled();
  for (const { proxy, ask } of [made, made.restarted()]) {
    const now = (path: string) => {
      const file = proxy.peek(path);
      return file && proxy.bodyNow(file)?.byteLength;
    };
    for (const [path] of bodies) await ask(path);
    assert.deepEqual(
      bodies.map(([path]) => now(path)),
      [30_000, undefined, 64 * 1024, undefined],
    );
    assert.equal(await ask(MOD), `200 memory ${'x'.repeat(30_000)}`);
  }
});

// Last use.

test('a use is written after an hour at the earliest, and one write takes all uses', async (t) => {
  const first = filled(t);
  for (const path of [MOD, INFO, ZIP]) await first.ask(path);
  await settled();
  const soon = first.restarted();
  first.clock.pass(3_599_999);
  for (const path of [MOD, INFO]) await soon.ask(path);
  await soon.lastUse.flush(first.clock.wallMs());
  assert.ok(!first.store.calls.includes('touch'));
  first.clock.pass(1);
  const later = first.restarted();
  for (const path of [MOD, INFO, MOD]) await later.ask(path);
  await later.lastUse.flush(first.clock.wallMs());
  await later.lastUse.flush(first.clock.wallMs());
  assert.equal(first.store.calls.filter((call) => call === 'touch').length, 1);
  const { entry } = await first.store.getEntry({ key: MOD });
  assert.equal(entry?.usedAtMs, first.clock.wallMs());
  assert.notEqual(entry?.checkedAtMs, first.clock.wallMs(), 'used is not checked');
});

// --verify.

test('with --verify=store a file is kept with the database’s verdict: confirmed or unknown', async (t) => {
  for (const trust of ['confirmed', 'unconfirmed'] as const) {
    const made = filled(t, { verify: 'store' });
    made.checksums.says = trust;
    for (const path of [MOD, ZIP, INFO]) await made.ask(path);
    await settled();
    const trusts = await Promise.all(
      [MOD, ZIP, INFO].map(async (key) => (await made.store.getEntry({ key })).entry?.trust),
    );
    assert.deepEqual(trusts, [trust, trust, 'unchecked']);
    assert.equal(made.checksums.judged.length, 2);
  }
});

test('with --verify=store an answer is tentative as long as it is not confirmed', async (t) => {
  for (const [says, isTentative] of [
    ['confirmed', false],
    ['unconfirmed', true],
    ['unknown', true],
  ] as const) {
    const made = filled(t, { verify: 'store' });
    made.checksums.says = says;
    for (const path of [MOD, ZIP]) {
      await made.ask(path);
      await settled();
      const { restarted } = made;
      assert.equal((await made.get(path)).isTentative, isTentative, `${path} in memory`);
      assert.equal((await restarted().get(path)).isTentative, isTentative, `${path} in the store`);
      assert.equal(
        (await restarted({ verify: 'off' }).get(path)).isTentative,
        false,
        'nobody will refuse it',
      );
    }
  }
});

test('with --verify=store a file goes out if an unproven answer agrees, and is kept by the proof alone', async (t) => {
  for (const verdict of ['confirmed', 'unconfirmed', new CheckFailed('h1 differs')] as const) {
    for (const path of [MOD, ZIP]) {
      const made = filled(t, { verify: 'store' });
      const proof = Promise.withResolvers<Verdict>();
      made.checksums.claims = true;
      made.checksums.says = proof.promise;
      const answer = await made.ask(path);
      assert.match(answer, /^200 upstream /);
      assert.equal((await made.store.getEntry({ key: path })).entry, undefined, 'not proven, not kept');
      assert.match(await made.ask(path), /^200 /, 'others need not wait either');
      assert.equal(made.upstream.asked.length, 1);
      if (verdict instanceof Error) proof.reject(verdict);
      else proof.resolve(verdict);
      await settled();
      const kept = (await made.store.getEntry({ key: path })).entry?.trust;
      assert.equal(kept, verdict instanceof Error ? undefined : verdict);
      if (verdict instanceof Error) await assert.rejects(made.ask(path), CheckFailed, 'nor out of memory');
      else assert.match(await made.ask(path), /^200 memory /);
    }
  }
});

test('a contradicted file is not kept; its key is refused for a time, then fetched from another upstream', async (t) => {
  for (const path of [MOD, ZIP]) {
    const made = filled(t, { verify: 'store' });
    made.checksums.says = new CheckFailed('h1 differs');
    await assert.rejects(made.ask(path), CheckFailed);
    await settled();
    made.checksums.says = 'confirmed';
    await assert.rejects(made.ask(path), CheckFailed, 'refused without a request');
    assert.equal(made.upstream.asked.length, 1);
    await assert.rejects(made.restarted({ isOffline: true }).ask(path), NotFound);
    made.clock.pass(REFUSED_MS);
    assert.match(await made.ask(path), /^200 upstream /);
    assert.equal(made.upstream.asked[1]?.request.avoid, 'proxy.example');
  }
});

test('with --verify=strict nothing goes out that is not confirmed', async (t) => {
  for (const path of [MOD, ZIP]) {
    const made = filled(t, { verify: 'strict' });
    made.checksums.says = 'unconfirmed';
    await assert.rejects(made.ask(path), UpstreamDown);
    made.checksums.says = 'confirmed';
    assert.match(await made.ask(path), /^200 upstream /);
    assert.match(await made.ask(LIST), /^200 upstream /, 'lists have no checksum');
  }
});

/** A strict rig over a store in which an earlier run kept ZIP and MOD unchecked. */
async function imported(t: TestContext): Promise<Rig> {
  const made = filled(t, { verify: 'strict' });
  const { store, builder } = made;
  for (const key of [MOD, ZIP]) {
    const bytes = Buffer.from(`imported ${key}`);
    const put = { key, status: 200, source: 'import', nowMs: 1, blob: store.nextBlob(), bytes } as const;
    const { sha256 } = await store.putEntry(put);
    builder.stored.set(key, { h1: `h1:${key}`, sha256 });
  }
  return made;
}

test('with --verify=strict a stored, unchecked file is hashed and asked about, not fetched again', async (t) => {
  const made = await imported(t);
  for (const path of [MOD, ZIP]) {
    const asked = await Promise.all([made.ask(path), made.ask(path)]);
    assert.deepEqual(new Set(asked), new Set([`200 store imported ${path}`]));
    assert.equal(await made.restarted().ask(path), `200 store imported ${path}`);
  }
  assert.deepEqual(made.checksums.judged, [`h1:${MOD}`, `h1:${ZIP}`], 'once each');
  assert.deepEqual(made.upstream.asked, []);
});

test('with --verify=strict a stored file that is contradicted is dropped and fetched again', async (t) => {
  const made = await imported(t);
  const { judge } = made.checksums;
  made.checksums.judge = (resource, h1) => {
    if (h1 === `h1:${ZIP}` || h1 === `h1:${MOD}`) return Promise.reject(new CheckFailed('h1 differs'));
    return judge.call(made.checksums, resource, h1);
  };
  for (const path of [MOD, ZIP]) {
    assert.equal(await made.ask(path), `200 upstream ${made.upstream.says.get(path)}`);
    await settled();
    assert.match(await made.restarted().ask(path), /^200 store (module|zip of)/);
  }
  assert.deepEqual(
    made.events.seen.filter((line) => line.startsWith('contradicted')),
    [`contradictedLater ${MOD}`, `contradictedLater ${ZIP}`],
  );
});

test('with --verify=strict a stored file that cannot be confirmed stays, and does not go out', async (t) => {
  for (const says of ['unconfirmed', 'unknown'] as const) {
    const made = await imported(t);
    made.checksums.says = says;
    for (const path of [MOD, ZIP]) {
      await assert.rejects(made.ask(path), UpstreamDown, path);
      await assert.rejects(made.ask(path, { mayFetch: false }), NotFound, 'who may not go out asks nobody');
      const { entry } = await made.store.getEntry({ key: path });
      assert.deepEqual([entry?.status, entry?.trust], [200, 'unconfirmed']);
    }
  }
});

test('with --verify=strict a stored file that is damaged is fetched again', async (t) => {
  const made = await imported(t);
  for (const path of [MOD, ZIP]) {
    made.builder.stored.set(path, new StoreFailed('no chunk 1'));
    assert.match(await made.ask(path), /^200 upstream /);
  }
});
