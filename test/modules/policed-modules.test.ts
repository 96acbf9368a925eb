// Goal: no answer gives a version that the policy holds back, from memory, store or source; everything else is as without one.
// Method: the real proxy over a real store; the test sets the upstream's answers, the policy and the clock.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { NotFound, UpstreamDown } from '../../src/core/errors.ts';
import { parseResource } from '../../src/core/resource.ts';
import { PolicedModules } from '../../src/modules/policed-modules.ts';
import { Policy } from '../../src/policy/policy.ts';
import { parseAges, parseDenyPatterns, parseVersionPatterns } from '../../src/policy/policy-syntax.ts';
import {
  FakeUpstream,
  LIST_TTL_MS,
  makeRig,
  openLocalStore,
  type Rig,
  type RigOptions,
  readAll,
  settled,
} from '../support/fakes.ts';
import { tempDir } from '../support/temp-dir.ts';

const MODULE = 'example.com/a';
const LIST = `${MODULE}/@v/list`;
const LATEST = `${MODULE}/@latest`;
const DAY_MS = 86_400_000;

type Words = { deny?: string; allow?: string; ages?: string; isPrivate?: string; isExactDelayed?: boolean };

function policyOf({
  deny = '',
  allow = '',
  ages = '',
  isPrivate = '',
  isExactDelayed = true,
}: Words): Policy {
  return new Policy({
    deny: parseDenyPatterns(deny),
    allow: parseVersionPatterns(allow),
    ages: parseAges(ages, isPrivate),
    isExactDelayed,
  });
}

class PolicedRig {
  readonly rig: Rig;
  readonly modules: PolicedModules;
  readonly refusals: string[] = [];

  /** @param make makes the proxy below it */
  constructor(make: (options: RigOptions) => Rig) {
    this.rig = make({ onListChanged: (change) => this.modules.noteListChange(change) });
    const { proxy, store, clock } = this.rig;
    const events = {
      refusedByPolicy: (reason: string, key: string) => void this.refusals.push(`${reason} ${key}`),
      housekeepingFailed: (why: string) => assert.fail(why),
    };
    this.modules = new PolicedModules({ modules: proxy, store, clock, events, waitMs: 60_000 });
  }

  /** With an empty memory, as after a restart. */
  async restarted(words: Words): Promise<PolicedRig> {
    const again = new PolicedRig((options) => this.rig.restarted(options));
    await again.modules.follow(policyOf(words));
    return again;
  }

  /** `200 body`, or the error's kind and message. */
  async ask(path: string, how: { mayFetch?: boolean; isHead?: boolean } = {}): Promise<string> {
    const resource = parseResource(path);
    assert.ok(resource, path);
    const { mayFetch = true, isHead = false } = how;
    try {
      const answer = await this.modules.get({ resource, key: path, mayFetch, isHead, via: undefined });
      if (isHead) return `${answer.status} ${answer.size}`;
      return `${answer.status} ${Buffer.from(await readAll(answer.body)).toString()}`;
    } catch (error) {
      assert.ok(error instanceof Error);
      return `${(error as Error & { kind?: string }).kind} ${error.message}`;
    }
  }

  /** The body in memory, as on the front's short way; undefined: that way is closed. */
  hot(path: string): string | undefined {
    const file = this.modules.peek(path);
    const body = file && this.modules.bodyNow(file);
    return body && Buffer.from(body).toString();
  }

  /** The days before now at which each version was published. */
  publish(versions: Readonly<Record<string, number | string>>, module = MODULE): void {
    const { says } = this.rig.upstream;
    const nowMs = this.rig.clock.wallMs();
    for (const [version, age] of Object.entries(versions)) {
      const time = typeof age === 'string' ? age : new Date(nowMs - age * DAY_MS).toISOString();
      says.set(
        `${module}/@v/${version}.info`,
        JSON.stringify({ Version: version, ...(time && { Time: time }) }),
      );
      says.set(`${module}/@v/${version}.mod`, `module ${module}\n`);
      says.set(`${module}/@v/${version}.zip`, `zip of ${version}`);
    }
    const listed = Object.keys(versions).filter((version) => !/\d{14}/.test(version));
    says.set(`${module}/@v/list`, listed.map((version) => `${version}\n`).join(''));
    const latest = Object.keys(versions).at(-1);
    says.set(`${module}/@latest`, says.get(`${module}/@v/${latest}.info`) ?? new NotFound('none'));
  }
}

async function rig(t: TestContext, words: Words, versions: Record<string, number | string> = {}) {
  const store = openLocalStore(join(tempDir(t), 'a.db'));
  t.after(() => store.close());
  const made = new PolicedRig((options) => makeRig(store, options));
  await made.modules.follow(policyOf(words));
  made.publish(versions);
  return made;
}

const file = (version: string, kind: string) => `${MODULE}/@v/${version}.${kind}`;

test('a denied version is refused, stored or not, by GET and HEAD; its go.mod is given', async (t) => {
  const made = await rig(t, {}, { 'v1.0.0': 900, 'v1.1.0': 800 });
  for (const kind of ['info', 'mod', 'zip']) await made.ask(file('v1.0.0', kind));
  await settled();
  assert.equal(made.hot(file('v1.0.0', 'info'))?.slice(0, 20), '{"Version":"v1.0.0",');
  await made.modules.follow(policyOf({ deny: `${MODULE}@<v1.1.0` }));
  const again = await made.restarted({ deny: `${MODULE}@<v1.1.0` });
  for (const one of [made, again]) {
    const asked = one.rig.upstream.asked.length;
    for (const kind of ['info', 'zip']) {
      const path = file('v1.0.0', kind);
      assert.match(
        await one.ask(path),
        /^forbidden cannot give "example\.com\/a@v1\.0\.0": denied by the policy/,
      );
      assert.match(await one.ask(path, { isHead: true }), /^forbidden /);
      assert.match(await one.ask(path, { mayFetch: false }), /^forbidden /);
      assert.equal(one.hot(path), undefined);
    }
    assert.match(await one.ask(file('v1.0.0', 'mod')), /^200 module/);
    assert.equal(one.rig.upstream.asked.length, asked, 'nobody was asked');
    assert.match(await one.ask(file('v1.1.0', 'zip')), /^200 zip of v1\.1\.0$/);
    assert.equal(one.refusals.filter((refusal) => refusal.startsWith('denied ')).length, 6);
  }
});

test('denied versions are in no list, and another one is the latest', async (t) => {
  const made = await rig(t, { deny: `${MODULE}@v1.2.0` }, { 'v1.0.0': 3, 'v1.1.0': 2, 'v1.2.0': 1 });
  for (let round = 0; round < 2; round++) {
    assert.equal(await made.ask(LIST), '200 v1.0.0\nv1.1.0\n');
    assert.match(await made.ask(LATEST), /^200 {"Version":"v1\.1\.0"/);
    assert.equal(await made.ask(LIST, { isHead: true }), '200 14');
    await settled();
  }
  assert.equal(made.hot(LIST), 'v1.0.0\nv1.1.0\n', 'the short way has the shorter list');
  assert.match(made.hot(LATEST) ?? '', /"v1\.1\.0"/);
  assert.deepEqual(made.refusals, [], 'nothing was refused');
});

test('a module without a version that may be had says why', async (t) => {
  const made = await rig(t, { deny: `${MODULE}@>=v0.0.0-0,example.com/b` }, { 'v1.0.0': 3, 'v1.1.0': 2 });
  assert.equal(await made.ask(LIST), '200 ');
  assert.match(await made.ask(LATEST), /^forbidden cannot give "example\.com\/a@v1\.1\.0": denied/);
  const asked = made.rig.upstream.asked.length;
  for (const path of ['@v/list', '@latest', '@v/master.info', '@v/v1.0.0.info', '@v/v1.0.0.zip']) {
    assert.match(
      await made.ask(`example.com/b/c/${path}`),
      /^forbidden cannot give "example\.com\/b\/c(?:@v1\.0\.0)?"/,
    );
  }
  assert.equal(made.rig.upstream.asked.length, asked);
});

test('of a proxy without @latest too a list that is empty is told of', async (t) => {
  const rows = [
    {
      words: { deny: `${MODULE}@>=v1.0.0` },
      says: /^forbidden cannot give "example\.com\/a@v1\.1\.0": denied/,
    },
    { words: { ages: '7d' }, says: /^not-found cannot give "example\.com\/a@v1\.1\.0" yet/ },
    { words: { ages: '2d' }, says: /^404 cannot find/ },
  ];
  for (const { words, says } of rows) {
    const made = await rig(t, words, { 'v1.0.0': 3, 'v1.1.0': 1 });
    made.rig.upstream.says.delete(LATEST);
    for (let round = 0; round < 2; round++) assert.match(await made.ask(LATEST), says);
  }
});

test('a branch or a short version that leads to a denied version is refused', async (t) => {
  const made = await rig(t, { deny: `${MODULE}@v1.1.0` }, { 'v1.0.0': 3, 'v1.1.0': 2 });
  const { says } = made.rig.upstream;
  for (const query of ['master', 'v1', 'abcdef0']) {
    says.set(`${MODULE}/@v/${query}.info`, '{"Version":"v1.1.0"}');
    assert.match(
      await made.ask(`${MODULE}/@v/${query}.info`),
      /^forbidden cannot give "example\.com\/a@v1\.1\.0"/,
    );
  }
  says.set(`${MODULE}/@v/v1.0.info`, '{"Version":"v1.0.0"}');
  assert.equal(await made.ask(`${MODULE}/@v/v1.0.info`), '200 {"Version":"v1.0.0"}');
});

test('a new policy counts at once, and one that is gone leaves nothing behind', async (t) => {
  const made = await rig(t, {}, { 'v1.0.0': 3, 'v1.1.0': 2 });
  assert.equal(await made.ask(LIST), '200 v1.0.0\nv1.1.0\n');
  await made.modules.follow(policyOf({ deny: `${MODULE}@v1.0.0` }));
  assert.equal(made.hot(LIST), undefined);
  assert.equal(await made.ask(LIST), '200 v1.1.0\n');
  assert.equal(made.hot(LIST), 'v1.1.0\n');
  await made.modules.follow(policyOf({}));
  assert.equal(made.hot(LIST), 'v1.0.0\nv1.1.0\n');
});

const WEEK = { ages: '7d' };

test('a young version is in no list, is not the latest, and its .info says when it will be there', async (t) => {
  const made = await rig(t, WEEK, { 'v1.0.0': 100, 'v1.1.0': 8, 'v1.2.0': 6.5 });
  assert.equal(await made.ask(LIST), '200 v1.0.0\nv1.1.0\n');
  assert.match(await made.ask(LATEST), /^200 {"Version":"v1\.1\.0"/);
  const says =
    /^not-found cannot give "example\.com\/a@v1\.2\.0" yet: this server gives versions that are 7 days old; it is of .* will be here from .* on/;
  assert.match(await made.ask(file('v1.2.0', 'info')), says);
  assert.match(await made.ask(file('v1.2.0', 'info'), { isHead: true }), says);
  assert.equal(made.hot(file('v1.2.0', 'info')), undefined);
  assert.match(await made.ask(file('v1.2.0', 'mod')), /^200 /, 'a build that is pinned to it goes on');
  assert.match(await made.ask(file('v1.2.0', 'zip')), /^200 /);
  assert.match(await made.ask(file('v1.1.0', 'info')), /^200 /);
  assert.deepEqual([...new Set(made.refusals)], [`too-young ${file('v1.2.0', 'info')}`]);

  made.rig.clock.pass(0.5 * DAY_MS + 1);
  assert.equal(await made.ask(LIST), '200 v1.0.0\nv1.1.0\nv1.2.0\n');
  assert.match(await made.ask(LATEST), /^200 {"Version":"v1\.2\.0"/);
  assert.match(await made.ask(file('v1.2.0', 'info')), /^200 /);
});

test('a list that is fresh in memory still shows a version as soon as it is old enough', async (t) => {
  const made = await rig(t, WEEK, { 'v1.0.0': 100, 'v1.1.0': 7 - 60_000 / DAY_MS });
  assert.equal(await made.ask(LIST), '200 v1.0.0\n');
  assert.equal(made.hot(LIST), 'v1.0.0\n');
  made.rig.clock.pass(60_001);
  assert.ok(LIST_TTL_MS > 60_001);
  assert.equal(made.hot(LIST), undefined);
  assert.equal(await made.ask(LIST), '200 v1.0.0\nv1.1.0\n');
});

test('exceptions: by age for a pattern, by name, for private modules, and for exact versions', async (t) => {
  const rows: { words: Words; list: string; info: RegExp; why: string }[] = [
    { words: { ages: '7d,example.com/a=1d' }, list: 'v1.0.0\nv1.1.0\n', info: /^200 /, why: 'another age' },
    {
      words: { ages: '7d', allow: `${MODULE}@v1.1.0` },
      list: 'v1.0.0\nv1.1.0\n',
      info: /^200 /,
      why: 'allowed',
    },
    {
      words: { ages: '7d', allow: `${MODULE}@v1.0.0` },
      list: 'v1.0.0\n',
      info: /^not-found /,
      why: 'another is',
    },
    {
      words: { ages: '7d', isPrivate: 'example.com' },
      list: 'v1.0.0\nv1.1.0\n',
      info: /^200 /,
      why: 'private',
    },
    {
      words: { ages: '7d', isExactDelayed: false },
      list: 'v1.0.0\n',
      info: /^200 /,
      why: 'exact versions are let through',
    },
  ];
  for (const { words, list, info, why } of rows) {
    const made = await rig(t, words, { 'v1.0.0': 100, 'v1.1.0': 3 });
    assert.equal(await made.ask(LIST), `200 ${list}`, why);
    assert.match(await made.ask(file('v1.1.0', 'info')), info, why);
  }
});

test('a branch is as old as its commit; a commit by its hash may be let through', async (t) => {
  const words = { ages: '7d' };
  for (const isExactDelayed of [true, false]) {
    const made = await rig(t, { ...words, isExactDelayed }, { 'v1.0.0': 100 });
    const young = new Date(made.rig.clock.wallMs() - DAY_MS).toISOString();
    const stamp = young.slice(0, 19).replace(/\D/g, '');
    const body = JSON.stringify({ Version: `v1.0.1-0.${stamp}-abcdefabcdef`, Time: young });
    for (const query of ['master', 'abcdefabcdef'])
      made.rig.upstream.says.set(`${MODULE}/@v/${query}.info`, body);
    assert.match(await made.ask(`${MODULE}/@v/master.info`), /^not-found cannot give .* yet/);
    const commit = await made.ask(`${MODULE}/@v/abcdefabcdef.info`);
    assert.match(commit, isExactDelayed ? /^not-found / : /^200 /);
  }
});

test('of a module without releases the newest stored commit that is old enough is the latest', async (t) => {
  const made = await rig(t, WEEK);
  const [old, young] = [
    '20200102030405',
    new Date(made.rig.clock.wallMs() - DAY_MS).toISOString().slice(0, 19).replace(/\D/g, ''),
  ];
  const versions = {
    [`v0.0.0-${old}-aaaaaaaaaaaa`]: '2020-01-02T03:04:05Z',
    [`v0.0.0-${young}-bbbbbbbbbbbb`]: 1,
  };
  made.publish(versions);
  assert.match(
    await made.ask(LATEST),
    /^not-found cannot give "example\.com\/a@v0\.0\.0-.*-bbbbbbbbbbbb" yet/,
  );
  await made.ask(file(`v0.0.0-${old}-aaaaaaaaaaaa`, 'info'));
  await settled();
  assert.match(await made.ask(LATEST), /^200 .*aaaaaaaaaaaa/);
});

test('what was downloaded before any age was asked for stays, and what comes later does not', async (t) => {
  const made = await rig(t, {}, { 'v1.0.0': 100, 'v1.1.0': 3, 'v1.2.0': 2 });
  await made.ask(file('v1.1.0', 'zip'));
  await settled();
  made.rig.clock.pass(1000);
  const later = await made.restarted(WEEK);
  await later.ask(file('v1.2.0', 'zip'));
  await settled();
  made.rig.clock.pass(1000);
  for (const one of [later, await later.restarted(WEEK)]) {
    assert.equal(await one.ask(LIST), '200 v1.0.0\nv1.1.0\n');
    assert.match(await one.ask(file('v1.1.0', 'info')), /^200 /);
    assert.match(await one.ask(file('v1.2.0', 'info')), /^not-found /);
  }
  const without = await later.restarted({});
  made.rig.clock.pass(1000);
  assert.equal(await (await without.restarted(WEEK)).ask(LIST), '200 v1.0.0\nv1.1.0\nv1.2.0\n', 'begun anew');
});

test('a version without a time, or of the future, counts from its first sight', async (t) => {
  const made = await rig(t, WEEK, {
    'v1.0.0': 100,
    'v1.1.0': '',
    'v1.2.0': '0001-01-01T00:00:00Z',
    'v1.3.0': -400,
  });
  assert.equal(await made.ask(LIST), '200 v1.0.0\n');
  await settled();
  made.rig.clock.pass(6.9 * DAY_MS);
  assert.equal(await made.ask(LIST), '200 v1.0.0\n');
  made.rig.clock.pass(0.2 * DAY_MS);
  const again = await made.restarted(WEEK);
  for (const one of [made, again]) assert.equal(await one.ask(LIST), '200 v1.0.0\nv1.1.0\nv1.2.0\nv1.3.0\n');
});

test('with a clock in the past all is young, and it says so; when it is set right, times count again', async (t) => {
  const made = await rig(t, WEEK, { 'v1.0.0': 100, 'v1.1.0': 1 });
  made.rig.clock.wall -= 200 * DAY_MS;
  assert.equal(await made.ask(LIST), '200 ');
  assert.match(await made.ask(LATEST), /^not-found cannot give .* \(now \d{4}-\d\d-\d\dT\d\d:\d\dZ\)$/);
  await settled();
  made.rig.clock.wall += 200 * DAY_MS;
  const again = await made.restarted(WEEK);
  assert.equal(await again.ask(LIST), '200 v1.0.0\n', 'not the first sight by the wrong clock');
  assert.match(await again.ask(LATEST), /^200 .*v1\.0\.0/);
});

test('with a clock in the future all is old, until it is set right', async (t) => {
  const made = await rig(t, WEEK, { 'v1.0.0': 100, 'v1.1.0': 1 });
  made.rig.clock.wall += 200 * DAY_MS;
  assert.equal(await made.ask(LIST), '200 v1.0.0\nv1.1.0\n');
  await settled();
  made.rig.clock.wall -= 200 * DAY_MS;
  assert.equal(await (await made.restarted(WEEK)).ask(LIST), '200 v1.0.0\n');
});

/** The lines of a list. */
const listOf = (versions: readonly string[]) => `200 ${versions.map((version) => `${version}\n`).join('')}`;

test('a list of 2,000 versions costs ten questions, once, whoever asks', async (t) => {
  const versions: Record<string, number> = {};
  for (let minor = 0; minor < 20; minor++) {
    for (let patch = 0; patch < 100; patch++) versions[`v1.${minor}.${patch}`] = 4000 - minor * 150 - patch;
  }
  versions['v1.15.100'] = 1; // A fix to an old line.
  versions['v1.19.100'] = 8;
  versions['v1.19.101'] = 2;
  const made = await rig(t, WEEK, versions);
  const left = Object.keys(versions).filter((version) => version !== 'v1.15.100' && version !== 'v1.19.101');
  const herd = await Promise.all(Array.from({ length: 40 }, () => made.ask(LIST)));
  assert.deepEqual([...new Set(herd)], [listOf(left)]);
  assert.equal(
    made.rig.store.calls.filter((call) => call === 'getVersions').length,
    1,
    'one look for all clients',
  );
  const infos = () => made.rig.upstream.paths.filter((path) => path.endsWith('.info')).length;
  assert.equal(infos(), 10, 'eight lines, two of which have a young version');
  await settled();
  made.rig.clock.pass(LIST_TTL_MS + 1);
  const again = await made.restarted(WEEK);
  assert.equal(await again.ask(LIST), listOf(left));
  assert.equal(infos(), 10, 'never again');
});

test('a young version of a line that is not looked through is hidden as soon as its time is known', async (t) => {
  const versions: Record<string, number> = {};
  for (let minor = 0; minor < 12; minor++) versions[`v1.${minor}.1`] = 2000 - minor * 100;
  versions['v1.0.2'] = 1;
  const made = await rig(t, WEEK, versions);
  assert.equal(await made.ask(LIST), listOf(Object.keys(versions)), 'no client looks there');
  assert.match(await made.ask(file('v1.0.2', 'info')), /^not-found cannot give .* yet/, 'who does is told');
  await settled();
  const again = await made.restarted(WEEK);
  assert.equal(
    await again.ask(LIST),
    listOf(Object.keys(versions).filter((version) => version !== 'v1.0.2')),
  );
});

test('of minor versions without fixes only the newest ones are asked about, of each major version', async (t) => {
  const versions: Record<string, number> = {};
  for (let minor = 1; minor < 250; minor++) versions[`v0.${minor}.0`] = 1000 - minor * 4;
  versions['v0.248.0'] = 6; // v0.249.0 is four days old.
  versions['v2.0.0+incompatible'] = 2;
  versions['v2.1.0-rc.1+incompatible'] = 9;
  const made = await rig(t, WEEK, versions);
  const young = new Set(['v0.249.0', 'v0.248.0', 'v2.0.0+incompatible']);
  assert.equal(await made.ask(LIST), listOf(Object.keys(versions).filter((version) => !young.has(version))));
  assert.deepEqual(
    made.rig.upstream.paths.filter((path) => path.endsWith('.info')).sort(),
    ['v0.247.0', 'v0.248.0', 'v0.249.0', 'v2.0.0+incompatible', 'v2.1.0-rc.1+incompatible'].map((one) =>
      file(one, 'info'),
    ),
  );
});

test('a version that comes into a known list is no older than the list before, whatever its author says', async (t) => {
  const made = await rig(t, WEEK, { 'v1.0.0': 900, 'v1.1.0': 800, 'v1.1.1': 790 });
  assert.equal(await made.ask(LIST), listOf(['v1.0.0', 'v1.1.0', 'v1.1.1']));
  await made.ask(file('v1.0.9', 'info'));
  await settled();
  const hours = 3_600_000;
  made.rig.clock.pass(2 * hours);
  const versions = { 'v1.0.0': 900, 'v1.0.9': 870, 'v1.1.0': 800, 'v1.1.1': 790, 'v1.2.0': 700 };
  made.publish(versions); // Tags of today on commits that look old: on top, and in a gap below.
  const old = ['v1.0.0', 'v1.1.0', 'v1.1.1'];
  assert.equal(await made.ask(LIST), listOf(old));
  const young =
    /^not-found cannot give .*@v1\.2\.0" yet: .*; it is of 2023-11-14T22:13Z and will be here from 2023-11-21T22:14Z on/;
  assert.match(await made.ask(file('v1.2.0', 'info')), young);
  assert.match(await made.ask(LATEST), /^200 .*v1\.1\.1/);
  await settled();
  const again = await made.restarted(WEEK);
  assert.equal(await again.ask(LIST), listOf(old));
  assert.match(await again.ask(file('v1.0.9', 'info')), /^not-found /);
  made.rig.clock.pass(7 * DAY_MS - 3 * hours);
  assert.equal(await again.ask(LIST), listOf(old));
  made.rig.clock.pass(hours);
  assert.equal(await again.ask(LIST), listOf(Object.keys(versions)), 'a week after the list without them');
});

test('a version that was here before a list got it again is as old as it says', async (t) => {
  const made = await rig(t, WEEK, { 'v1.0.0': 900, 'v1.1.0': 800 });
  await made.ask(file('v1.1.0', 'zip'));
  await settled();
  made.rig.clock.pass(1000);
  made.rig.upstream.says.set(LIST, 'v1.0.0\n'); // Another proxy of the list, say.
  assert.equal(await made.ask(LIST), listOf(['v1.0.0']));
  made.rig.clock.pass(LIST_TTL_MS + 1);
  made.rig.upstream.says.set(LIST, 'v1.0.0\nv1.1.0\n');
  assert.equal(await made.ask(LIST), listOf(['v1.0.0', 'v1.1.0']));
});

test('a version that the upstream lists and does not have is hidden, and looked for again', async (t) => {
  const made = await rig(t, WEEK, { 'v1.0.0': 900, 'v1.1.0': 800 });
  const { says } = made.rig.upstream;
  const info = says.get(file('v1.1.0', 'info')) ?? '';
  says.delete(file('v1.1.0', 'info'));
  assert.equal(await made.ask(LIST), listOf(['v1.0.0']));
  assert.equal(made.hot(LIST), 'v1.0.0\n');
  says.set(file('v1.1.0', 'info'), info);
  made.rig.clock.pass(60_001);
  assert.equal(await made.ask(LIST), listOf(['v1.0.0', 'v1.1.0']));
});

test('a client that may not go out leaves no shorter list behind', async (t) => {
  const made = await rig(t, {}, { 'v1.0.0': 900, 'v1.1.0': 800 });
  await made.ask(LIST);
  await made.modules.follow(policyOf(WEEK));
  assert.equal(await made.ask(LIST, { mayFetch: false }), '200 ');
  assert.equal(made.hot(LIST), undefined);
  assert.equal(await made.ask(LIST), listOf(['v1.0.0', 'v1.1.0']));
});

test('a list that no client could read is refused, not looked through', async (t) => {
  const made = await rig(t, WEEK);
  made.rig.upstream.says.set(LIST, 'v1.0.0\n'.repeat(10_001));
  assert.match(await made.ask(LIST), /^upstream-failed cannot give .*: over 10000 versions$/);
});

test('private modules out of Git are denied too', async (t) => {
  const store = openLocalStore(join(tempDir(t), 'a.db'));
  t.after(() => store.close());
  const git = new FakeUpstream();
  git.says.set(`corp.example/x/@v/list`, 'v1.0.0\nv1.1.0\n');
  const made = new PolicedRig((options) =>
    makeRig(store, { ...options, noProxyPatterns: 'corp.example', inside: [git] }),
  );
  await made.modules.follow(policyOf({ deny: 'corp.example/x@v1.1.0' }));
  assert.equal(await made.ask('corp.example/x/@v/list'), '200 v1.0.0\n');
  assert.match(await made.ask('corp.example/x/@v/v1.1.0.zip'), /^forbidden /);
  assert.deepEqual(git.paths, ['corp.example/x/@v/list']);
});

test('versions whose age cannot be known now are not shown, and for want of any the failure is told', async (t) => {
  const made = await rig(t, WEEK, { 'v1.0.0': 100, 'v1.1.0': 50, 'v1.2.0': 20 });
  const { says } = made.rig.upstream;
  const info = says.get(file('v1.2.0', 'info')) ?? '';
  says.set(file('v1.2.0', 'info'), new UpstreamDown('no line'));
  await made.ask(file('v1.1.0', 'info'));
  await settled();
  assert.equal(await made.ask(LIST), listOf(['v1.0.0', 'v1.1.0']), 'the line is down for the new one');
  assert.equal(made.hot(LIST), undefined, 'asked anew at once');
  says.set(file('v1.2.0', 'info'), info);
  assert.equal(await made.ask(LIST), listOf(['v1.0.0', 'v1.1.0', 'v1.2.0']));

  const cold = await rig(t, WEEK, { 'v1.0.0': 100 });
  cold.rig.upstream.says.set(file('v1.0.0', 'info'), new UpstreamDown('no line'));
  assert.match(await cold.ask(LIST), /^upstream-down no line/);
});

test('offline the stored times decide', async (t) => {
  const made = await rig(t, WEEK, { 'v1.0.0': 100, 'v1.1.0': 50, 'v1.2.0': 3 });
  await made.ask(file('v1.1.0', 'info'));
  assert.equal(await made.ask(LIST), '200 v1.0.0\nv1.1.0\n');
  await settled();
  const asked = made.rig.upstream.asked.length;
  const again = await made.restarted(WEEK);
  assert.equal(await again.ask(LIST, { mayFetch: false }), '200 v1.0.0\nv1.1.0\n');
  assert.match(await again.ask(LATEST, { mayFetch: false }), /^200 .*v1\.1\.0/);
  assert.equal(made.rig.upstream.asked.length, asked);
});

test('a module that no rule concerns is passed on as it is', async (t) => {
  const made = await rig(
    t,
    { deny: 'other.example', ages: 'other.example=7d' },
    { 'v1.0.0': 100, 'v1.1.0': 1 },
  );
  assert.equal(await made.ask(LIST), '200 v1.0.0\nv1.1.0\n');
  assert.deepEqual(made.rig.upstream.paths, [LIST], 'no .info was asked for');
  assert.ok(
    (
      await made.modules.get({
        resource: parseResource(LIST) as never,
        key: LIST,
        mayFetch: true,
        isHead: true,
        via: undefined,
      })
    ).status === 200,
  );
});

test('what a policy gives by its name goes the short way after a restart too', async (t) => {
  const made = await rig(t, { deny: `${MODULE}@v1.1.0` }, { 'v1.0.0': 3, 'v1.1.0': 2 });
  made.publish({ 'v1.0.0': 3 }, 'example.com/b');
  const open = ['example.com/b/@v/list', 'example.com/b/@latest', 'example.com/b/@v/v1.0.0.info'];
  const paths = [...open, file('v1.0.0', 'info'), file('v1.0.0', 'mod')];
  for (const path of [...paths, LIST]) await made.ask(path);
  await settled();
  await made.modules.follow(policyOf({ deny: `${MODULE}@v1.1.0` }));
  for (const path of paths) assert.equal(`200 ${made.hot(path)}`, await made.ask(path), path);
  assert.equal(made.hot(LIST), undefined, 'a list is looked at first');
});
