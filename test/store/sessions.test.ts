// Goal: a session seen once is given back, sets follow what is asked for, and nothing of them grows without bound.
// Method: writer and reader of a real file.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { BadRequest } from '../../src/core/errors.ts';
import { SESSION_ACTIONS_MAX } from '../../src/core/limits.ts';
import { SHORT_ID_BYTES } from '../../src/core/session-port.ts';
import { shortIdsOf } from '../../src/core/session-wire.ts';
import { SESSION_MISSED_MAX, SESSIONS_MAX, SET_UPLOAD_AFTER_MS } from '../../src/store/limits.ts';
import { StoreReader } from '../../src/store/reader.ts';
import { itemsOf, mergeSet } from '../../src/store/session-set.ts';
import { StoreWriter } from '../../src/store/writer.ts';
import { tempDir } from '../support/temp-dir.ts';
import { putOutput } from './stores.ts';

const NOW_MS = 1_800_000_000_000;
const NONE = new Uint8Array(0);

function id(text: string | number): string {
  return createHash('sha256').update(String(text)).digest('hex');
}

/** Its output holds its ID. */
function putAction(writer: StoreWriter, { actionId, blob }: { actionId: string; blob: number }): void {
  const bytes = new Uint8Array(Buffer.from(actionId));
  putOutput(writer, { bytes, blob });
  writer.putAction({ namespace: '', actionId, outputId: id(actionId), time: '1', nowMs: NOW_MS });
}

function open(t: TestContext) {
  const path = join(tempDir(t), 'a.db');
  const writer = new StoreWriter(path);
  const reader = new StoreReader(path);
  t.after(() => {
    reader.close();
    writer.close();
  });
  const note = (
    actions: readonly string[],
    { key = 'key', namespace = '', nowMs = NOW_MS, apart = 0 } = {},
  ) =>
    writer.putSession({
      namespace,
      key: id(key),
      project: id('project'),
      label: 'go build example.com/app',
      actions: shortIdsOf(actions),
      apart,
      nowMs,
    });
  const ask = ({ key = 'key', project = 'project', namespaces = [''], held = NONE as Uint8Array } = {}) =>
    reader.getSession({ namespaces, key: id(key), project: id(project), held, wantsBases: false });
  return { writer, reader, note, ask };
}

test('a session seen once gives its actions in their order, with their outputs', (t) => {
  const { writer, note, ask } = open(t);
  const actions = ['c', 'a', 'b'].map(id);
  for (const [blob, actionId] of actions.entries()) putAction(writer, { actionId, blob });
  note([...actions, id('never put')]);
  const { session, actions: found } = ask();
  assert.deepEqual([session?.times, session?.actions, session?.label], [1, 4, 'go build example.com/app']);
  assert.deepEqual(
    found.map(({ actionId, outputId }) => [actionId, outputId]),
    actions.map((actionId) => [actionId, id(actionId)]),
  );
});

test('actions that the client holds are left out', (t) => {
  const { writer, note, ask } = open(t);
  const actions = ['a', 'b'].map(id);
  for (const [blob, actionId] of actions.entries()) putAction(writer, { actionId, blob });
  note(actions);
  const { actions: found } = ask({ held: shortIdsOf([id('a')]) });
  assert.deepEqual(
    found.map(({ actionId }) => actionId),
    [id('b')],
  );
});

test('a new key gets the last session of its project, a new project nothing', (t) => {
  const { note, ask } = open(t);
  note([id(1)], { key: 'old' });
  note([id(2)], { key: 'last', nowMs: NOW_MS + 1 });
  assert.equal(ask({ key: 'new' }).session?.key, id('last'));
  assert.equal(ask({ key: 'old' }).session?.key, id('old'));
  assert.equal(ask({ key: 'new', project: 'new' }).session, undefined);
});

test("a namespace's own session comes before the main one's, and nobody else sees it", (t) => {
  const { note, ask } = open(t);
  note([id(1)]);
  note([id(2)], { namespace: 'team' });
  assert.equal(ask({ namespaces: ['team', ''] }).session?.namespace, 'team');
  assert.equal(ask({ namespaces: ['other', ''] }).session?.namespace, '');
});

test('sets, whole store and each alone, have their bounds', (t) => {
  const { reader, note, ask } = open(t);
  for (let at = 0; at <= SESSIONS_MAX; at++) note([id(at)], { key: `key ${at}`, nowMs: NOW_MS + at });
  assert.equal(ask({ key: 'key 1' }).session?.key, id('key 1'));
  assert.notEqual(ask({ key: 'key 0' }).session?.key, id('key 0'));
  assert.equal(reader.getSessions({ namespaces: [''] }).sessions.length, SESSIONS_MAX);
  const over = new Uint8Array((SESSION_ACTIONS_MAX + 1) * SHORT_ID_BYTES);
  const session = { namespace: '', key: id('k'), project: id('p'), label: '', nowMs: NOW_MS };
  const { writer } = open(t);
  for (const actions of [over, new Uint8Array(SHORT_ID_BYTES + 1)])
    assert.throws(() => writer.putSession({ ...session, actions }), BadRequest);
});

test('sets of other namespaces drive those of the main one out of no more than half of the room', (t) => {
  const { reader, note } = open(t);
  const half = SESSIONS_MAX / 2;
  const count = () =>
    ['', 'pr/1'].map((namespace) => reader.getSessions({ namespaces: [namespace] }).sessions.length);
  let at = 0;
  const noteMany = (sets: number, namespace: string) => {
    for (let n = 0; n < sets; n++) note([id(1)], { key: `key ${at++}`, namespace, nowMs: NOW_MS + at });
  };
  noteMany(half + 10, '');
  noteMany(half + 50, 'pr/1');
  assert.deepEqual(count(), [half, half]);
  noteMany(10, '');
  assert.deepEqual(count(), [half, half], 'the main one has no more as long as others are as new');
});

test('sets go with age, and when the build cache is forgotten', (t) => {
  const { writer, note, ask } = open(t);
  const expire = (nowMs: number) =>
    writer.expireActions({ nowMs, unusedMs: 1_000, storedBytesMax: Number.MAX_SAFE_INTEGER });
  note([id(1)]);
  expire(NOW_MS + 1_000);
  assert.ok(ask().session);
  expire(NOW_MS + 1_001);
  assert.equal(ask().session, undefined);
  note([id(1)]);
  writer.forgetActions({});
  assert.equal(ask().session, undefined);
});

const BOUNDS = { missedMax: SESSION_MISSED_MAX, actionsMax: 5 };

function merged(...sessions: string[]): string {
  let set: Buffer | undefined;
  for (const session of sessions)
    set = mergeSet(set, Buffer.from(session.replaceAll(/./g, '$&.......')), BOUNDS);
  return Array.from(itemsOf(set ?? Buffer.alloc(0)), ({ id: [name], missed }) => `${name}${missed}`).join(
    ' ',
  );
}

const sets = [
  { why: 'the last session comes first, in its order', sessions: ['abc', 'bda'], set: 'b0 d0 a0 c1' },
  { why: 'an action twice is one', sessions: ['aba'], set: 'a0 b0' },
  { why: 'nobody asks for it any more', sessions: ['abc', 'ab', 'ab', 'ab', 'ab'], set: 'a0 b0' },
  { why: 'it came back in time', sessions: ['abc', 'ab', 'ab', 'ab', 'abc'], set: 'a0 b0 c0' },
  {
    why: 'a build that was broken off takes nothing away',
    sessions: ['abcd', 'a', 'a', 'a', 'a', 'a'],
    set: 'a0 b0 c0 d0',
  },
  { why: 'bounded: the least likely ones are left out', sessions: ['abc', 'adefb'], set: 'a0 d0 e0 f0 b0' },
];
for (const { why, sessions, set } of sets) {
  test(`a set follows its sessions: ${why}`, () => assert.equal(merged(...sessions), set));
}

test('what is apart is told beside the actions, and stays so when a session does not say it again', (t) => {
  const { writer, reader, note } = open(t);
  const ask = () => {
    const [key, project] = [id('key'), id('project')];
    const { actions, apart } = reader.getSession({
      ...{ namespaces: [''], key, project, held: NONE, wantsBases: false },
    });
    return { ids: actions.map(({ actionId }) => actionId), apart: Buffer.from(apart ?? []) };
  };
  const [own, index] = [id('own'), id('index')];
  for (const [blob, actionId] of [own, index].entries()) putAction(writer, { actionId, blob });
  note([own, index], { apart: 1 });
  assert.deepEqual(ask(), { ids: [own], apart: shortIdsOf([index]) });
  note([index, own]);
  assert.deepEqual(ask(), { ids: [own], apart: shortIdsOf([index]) });
  for (let times = 0; times <= SESSION_MISSED_MAX; times++) note([own]);
  assert.deepEqual(ask(), { ids: [own], apart: shortIdsOf([]) });
  assert.throws(() => note([own], { apart: 2 }), BadRequest);
});

test('a set of the main namespace is queued for the bucket a while later, and sessions put it off no further', (t) => {
  const { writer, reader, note } = open(t);
  writer.keepUploads({ isOn: true });
  note([id('a')]);
  note([id('a'), id('b')], { nowMs: NOW_MS + SET_UPLOAD_AFTER_MS - 1 });
  note([id('c')], { key: 'other', namespace: 'mine' });
  const name = { namespace: '', key: id('theirs'), project: id('project'), label: '' };
  writer.putSession({ ...name, actions: shortIdsOf([id('a')]), isShared: true, nowMs: NOW_MS });
  const due = (nowMs: number) =>
    reader.getUploads({ after: 0, nowMs, limit: 10 }).rows.map(({ kind, name: of }) => [kind, of]);
  assert.deepEqual(due(NOW_MS + SET_UPLOAD_AFTER_MS - 1), []);
  assert.deepEqual(due(NOW_MS + SET_UPLOAD_AFTER_MS), [['set', id('key')]]);
});
