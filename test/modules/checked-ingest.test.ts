// Goal: each mode keeps the right files, and a key whose content was contradicted is refused for a time.
// Method: a table of modes and verdicts; then a clock that the test moves.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Summed, Verdict, VerifyMode } from '../../src/core/checksums.ts';
import { CheckFailed, UpstreamDown } from '../../src/core/errors.ts';
import { parseResource, type Resource } from '../../src/core/resource.ts';
import type { Trust } from '../../src/core/store-port.ts';
import { CheckedIngest } from '../../src/modules/checked-ingest.ts';
import { REFUSED_KEYS_MAX } from '../../src/modules/limits.ts';
import { Events } from '../../src/observe/events.ts';
import { createLogger } from '../../src/observe/logger.ts';
import { Metrics } from '../../src/observe/metrics.ts';
import { FakeChecksums, FakeClock, settled } from '../support/fakes.ts';

const REFUSED_MS = 60_000;
const KEY = 'example.com/m/@v/v1.0.0.zip';

function resourceOf(key: string): Resource {
  const resource = parseResource(key);
  assert.ok(resource !== undefined, key);
  return resource;
}

class TamperedEvents extends Events {
  readonly tamperedKeys: string[] = [];
  constructor() {
    super(createLogger({ level: 'error', isTerminal: false }), new Metrics());
  }
  override tampered(key: string): void {
    this.tamperedKeys.push(key);
  }
}

function makeIngest(mode: VerifyMode = 'store') {
  const [checksums, clock, events] = [new FakeChecksums(), new FakeClock(), new TamperedEvents()];
  const ingest = new CheckedIngest({ mode, checksums, clock, events, refusedMs: REFUSED_MS });
  const check = (h1 = 'h1:x', { key = KEY, upstream = 'liar.example' } = {}) => {
    const resource = resourceOf(key);
    assert.ok(ingest.covers(resource));
    return ingest.check(resource, { key, h1, upstream }).checked;
  };
  const contradict = async (h1?: string, how?: { key?: string; upstream?: string }) => {
    checksums.says = new CheckFailed('h1 differs');
    await assert.rejects(check(h1, how), CheckFailed);
    checksums.says = 'confirmed';
  };
  return { ingest, checksums, clock, events, check, contradict };
}

const outcomes: {
  mode: VerifyMode;
  says: Verdict | Error;
  kept: Trust | typeof CheckFailed | typeof UpstreamDown;
  why: string;
}[] = [
  { mode: 'store', says: 'confirmed', kept: 'confirmed', why: 'the database has the same' },
  { mode: 'store', says: 'unconfirmed', kept: 'unconfirmed', why: 'it could not be asked: confirmed later' },
  { mode: 'store', says: 'unknown', kept: 'unconfirmed', why: 'it has no such version: maybe later' },
  { mode: 'store', says: new CheckFailed('differs'), kept: CheckFailed, why: 'contradicted' },
  { mode: 'strict', says: 'confirmed', kept: 'confirmed', why: 'the database has the same' },
  { mode: 'strict', says: 'unconfirmed', kept: UpstreamDown, why: 'nothing unconfirmed goes out' },
  { mode: 'strict', says: 'unknown', kept: UpstreamDown, why: 'nothing unknown goes out' },
  { mode: 'strict', says: new CheckFailed('differs'), kept: CheckFailed, why: 'contradicted' },
];

for (const { mode, says, kept, why } of outcomes) {
  test(`--verify=${mode}: ${why}`, async () => {
    const { checksums, check } = makeIngest(mode);
    checksums.says = says;
    if (typeof kept === 'string') assert.deepEqual(await check('h1:x'), { h1: 'h1:x', trust: kept });
    else await assert.rejects(check('h1:x'), kept);
  });
}

const passes: { mode: VerifyMode; claims: boolean; isPassed: boolean; why: string }[] = [
  {
    mode: 'store',
    claims: true,
    isPassed: true,
    why: 'the answer agrees: the client need not wait for its proof',
  },
  { mode: 'store', claims: false, isPassed: false, why: 'only the proof can tell' },
  { mode: 'strict', claims: true, isPassed: false, why: 'nothing unproven goes out' },
];

for (const { mode, claims, isPassed, why } of passes) {
  test(`--verify=${mode}, an answer that is not proven yet and ${claims ? 'agrees' : 'differs'}: ${why}`, async () => {
    for (const verdict of ['confirmed', 'unconfirmed', new CheckFailed('differs')] as const) {
      const { ingest, checksums } = makeIngest(mode);
      const proof = Promise.withResolvers<Verdict>();
      checksums.claims = claims;
      checksums.says = proof.promise;
      const resource = resourceOf(KEY);
      assert.ok(ingest.covers(resource));
      const { passed, checked } = ingest.check(resource, { key: KEY, h1: 'h1:x', upstream: 'proxy.example' });
      let [hasPassed, isChecked] = [false, false];
      passed.then(
        () => (hasPassed = true),
        () => {},
      );
      checked.then(
        () => (isChecked = true),
        () => {},
      );
      await settled();
      assert.deepEqual([hasPassed, isChecked], [isPassed, false]);
      if (verdict instanceof Error) proof.reject(verdict);
      else proof.resolve(verdict);
      await settled();
      // The proof alone decides whether it is kept.
      const isKept = verdict === 'confirmed' || (verdict === 'unconfirmed' && mode === 'store');
      assert.deepEqual([hasPassed, isChecked], [isPassed || isKept, isKept]);
      if (isKept) assert.equal((await checked).trust, verdict);
      if (verdict instanceof CheckFailed) assert.throws(() => ingest.admit(KEY), CheckFailed);
    }
  });
}

test('zips and go.mod files are checked, nothing else, and with --verify=off nothing at all', () => {
  const [on, off] = [makeIngest('store').ingest, makeIngest('off').ingest];
  for (const [path, isCovered] of [
    ['example.com/m/@v/v1.0.0.zip', true],
    ['example.com/m/@v/v1.0.0.mod', true],
    ['example.com/m/@v/v1.0.0.info', false],
    ['example.com/m/@v/list', false],
    ['example.com/m/@latest', false],
  ] as const) {
    assert.equal(on.covers(resourceOf(path)), isCovered, path);
    assert.equal(off.covers(resourceOf(path)), false, path);
  }
});

test('store serves a file that an earlier run kept unconfirmed, strict ignores it', () => {
  const [store, strict] = [makeIngest('store').ingest, makeIngest('strict').ingest];
  const rows: { path: string; status: number; trust: Trust; isDistrusted: boolean; why: string }[] = [
    { path: KEY, status: 200, trust: 'unconfirmed', isDistrusted: true, why: 'the line was down then' },
    { path: KEY, status: 200, trust: 'unchecked', isDistrusted: true, why: 'imported, or kept with off' },
    { path: KEY, status: 200, trust: 'confirmed', isDistrusted: false, why: 'it was confirmed' },
    { path: KEY, status: 404, trust: 'unchecked', isDistrusted: false, why: 'a 404 has no content' },
    {
      path: 'example.com/m/@v/list',
      status: 200,
      trust: 'unchecked',
      isDistrusted: false,
      why: 'never summed',
    },
  ];
  for (const { path, status, trust, isDistrusted, why } of rows) {
    assert.equal(strict.distrusts(resourceOf(path), { status, trust }), isDistrusted, why);
    assert.equal(store.distrusts(resourceOf(path), { status, trust }), false, why);
  }
});

test('the database is asked at the first sight of a version, not of a list, and never with --verify=off', () => {
  for (const [mode, expected] of [
    ['store', ['info', 'mod', 'zip']],
    ['off', []],
  ] as const) {
    const { ingest, checksums } = makeIngest(mode);
    const asked: string[] = [];
    checksums.prefetch = (resource: Summed) => void asked.push(resource.kind);
    for (const name of [
      '@v/v1.0.0.info',
      '@v/v1.0.0.mod',
      '@v/v1.0.0.zip',
      '@v/list',
      '@latest',
      '@v/main.info',
    ])
      ingest.expect(resourceOf(`example.com/m/${name}`));
    assert.deepEqual(asked, expected);
  }
});

test('a contradicted key is refused for its time with the reason, others are not', async () => {
  const { ingest, clock, contradict } = makeIngest();
  ingest.admit(KEY);
  await contradict();
  assert.throws(
    () => ingest.admit(KEY),
    (error) => error instanceof CheckFailed && error.message === 'h1 differs',
  );
  ingest.admit(KEY.replace('.zip', '.mod'));
  clock.pass(REFUSED_MS - 1);
  assert.throws(() => ingest.admit(KEY), CheckFailed);
  clock.pass(1);
  ingest.admit(KEY);
  assert.equal(ingest.avoided(KEY), 'liar.example', 'and asked of another upstream first');
});

test('a confirmed file ends the refusal of its key', async () => {
  const { ingest, clock, check, contradict, events } = makeIngest();
  await contradict('h1:wrong');
  clock.pass(REFUSED_MS);
  await check('h1:right');
  assert.equal(ingest.avoided(KEY), undefined);
  await contradict('h1:wrong');
  assert.deepEqual(events.tamperedKeys, []);
});

test('the same wrong content twice is logged loudly, other wrong content is not', async () => {
  const { contradict, events } = makeIngest();
  await contradict('h1:one');
  await contradict('h1:two');
  await contradict('h1:one');
  assert.deepEqual(events.tamperedKeys, []);
  await contradict('h1:one');
  await contradict('h1:one', { key: KEY.replace('.zip', '.mod') });
  assert.deepEqual(events.tamperedKeys, [KEY]);
});

test('refused keys are bounded: the oldest refusal is forgotten', async () => {
  const { ingest, contradict } = makeIngest();
  const keyOf = (n: number) => `example.com/m${n}/@v/v1.0.0.zip`;
  for (let n = 0; n < REFUSED_KEYS_MAX; n++) await contradict('h1:x', { key: keyOf(n) });
  await contradict('h1:x', { key: keyOf(0) }); // Refused again: no longer the oldest.
  await contradict('h1:x', { key: keyOf(REFUSED_KEYS_MAX) });
  assert.equal(ingest.avoided(keyOf(1)), undefined);
  for (const n of [0, 2, REFUSED_KEYS_MAX])
    assert.throws(() => ingest.admit(keyOf(n)), CheckFailed, keyOf(n));
});
