// Goal: a filter never rules out what is stored, says so of most other actions, and is brought up to date by what was added.
// Method: the real filters over a real store, read by the client's own end with a clock of the test's.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { ActionFilters } from '../../src/buildcache/action-filters.ts';
import {
  FILTER_ADDED_MAX,
  FILTER_LOADS_MAX,
  FILTER_LOADS_WAITING_MAX,
  FILTERS_MAX,
} from '../../src/buildcache/limits.ts';
import {
  ActionFilter,
  decodeFilterNews,
  parseFilterHeader,
  shortIdOf,
} from '../../src/core/action-filter.ts';
import { Busy } from '../../src/core/errors.ts';
import { FILTER_FRESH_MS, SHORT_IDS_PER_CALL_MAX } from '../../src/core/limits.ts';
import { MissFilter } from '../../src/plugin/miss-filter.ts';
import { openLocalStore, readAll } from '../support/fakes.ts';
import { tempDir } from '../support/temp-dir.ts';

function id(text: string | number): string {
  return createHash('sha256').update(String(text)).digest('hex');
}

const OUTPUT = id('');

/** All of an answer. */
async function newsOf(filters: ActionFilters, ...[namespace, held]: Parameters<ActionFilters['news']>) {
  return Buffer.from(await readAll(await filters.news(namespace, held)));
}

function rig(t: TestContext) {
  const store = openLocalStore(join(tempDir(t), 'a.db'));
  t.after(() => store.close());
  const filters = new ActionFilters(store);
  const put = async (actionId: string, namespace = '') => {
    const bytes = new Uint8Array(0);
    await store.putOutput({
      blob: store.nextBlob(),
      outputId: OUTPUT,
      size: 0,
      encoding: 'identity',
      nowMs: 1,
      bytes,
    });
    await store.putAction({ namespace, actionId, outputId: OUTPUT, time: '1', nowMs: 1 });
    filters.add({ namespace, actionId });
  };
  const asked: (string | undefined)[] = [];
  const sent: number[] = [];
  const directory = tempDir(t);
  const clock = { ms: Date.now() };
  const client = (namespace = '') =>
    new MissFilter({
      path: join(directory, 'filter'),
      fetch: async (held) => {
        asked.push(held && `${held.epoch}.${held.serial}`);
        const news = await newsOf(filters, namespace, held);
        sent.push(news.length);
        return news;
      },
      now: () => clock.ms,
    });
  return { store, filters, put, client, asked, sent, clock };
}

test('what is stored is never ruled out, and nearly all else is', () => {
  const filter = ActionFilter.for(10_000);
  for (let at = 0; at < 10_000; at++) filter.add(shortIdOf(id(at)));
  for (let at = 0; at < 10_000; at++) assert.ok(filter.mayHave(shortIdOf(id(at))));
  let wrong = 0;
  for (let at = 10_000; at < 20_000; at++) if (filter.mayHave(shortIdOf(id(at)))) wrong++;
  assert.ok(wrong < 200, `${wrong} of 10,000`);
});

test('actions stored before and put later are there, of this namespace alone', async (t) => {
  const { store, put, client, clock } = rig(t);
  await put(id('before'));
  const filter = client();
  assert.deepEqual([await filter.rulesOut(id('before')), await filter.rulesOut(id('later'))], [false, true]);
  await put(id('later'));
  await put(id('other'), 'team');
  assert.equal(await filter.rulesOut(id('later')), true, 'within its time');
  clock.ms += FILTER_FRESH_MS;
  assert.deepEqual([await filter.rulesOut(id('later')), await filter.rulesOut(id('other'))], [false, true]);
  // A server that starts anew makes it of what is stored.
  const again = new ActionFilters(store);
  const { bits = new Uint8Array(0) } = decodeFilterNews(await newsOf(again, '', undefined));
  assert.ok(new ActionFilter(bits).mayHave(shortIdOf(id('later'))));
});

test('the next command asks for what was added since, and within the time for nothing', async (t) => {
  const { put, client, asked, sent, clock } = rig(t);
  await put(id('before'));
  await client().refresh();
  await client().refresh();
  assert.equal(asked.length, 1);
  await put(id('later'));
  clock.ms += FILTER_FRESH_MS;
  const next = client();
  assert.equal(await next.rulesOut(id('later')), false);
  assert.equal(asked.length, 2);
  assert.match(asked[1] ?? '', /^[0-9a-f]{16}\.0$/);
  assert.equal((sent[0] ?? 0) - (sent[1] ?? 0), 1024 - 8);
});

test('many gets at once ask once', async (t) => {
  const { client, asked } = rig(t);
  const filter = client();
  await Promise.all(Array.from({ length: 20 }, (_, at) => filter.rulesOut(id(at))));
  assert.equal(asked.length, 1);
});

test('a filter that has become full is made anew, and more than a page of actions is in it', async (t) => {
  const { filters, put } = rig(t);
  const epochOf = async () => decodeFilterNews(await newsOf(filters, '', undefined)).epoch;
  const before = await epochOf();
  const count = SHORT_IDS_PER_CALL_MAX + 10;
  for (let at = 0; at < count; at++) await put(id(at));
  assert.notEqual(await epochOf(), before);
  const { bits = new Uint8Array(0) } = decodeFilterNews(await newsOf(filters, '', undefined));
  const filter = new ActionFilter(bits);
  for (let at = 0; at < count; at++) assert.ok(filter.mayHave(shortIdOf(id(at))));
});

test('of more than are remembered all is sent again', async (t) => {
  const { filters } = rig(t);
  const first = decodeFilterNews(await newsOf(filters, '', undefined));
  for (let at = 0; at <= 2 * FILTER_ADDED_MAX; at++) filters.add({ namespace: '', actionId: id(at) });
  assert.ok(decodeFilterNews(await newsOf(filters, '', first)).bits);
});

test('namespaces that nobody asked for lately are forgotten', async (t) => {
  const { filters, store } = rig(t);
  for (let at = 0; at <= FILTERS_MAX; at++) await newsOf(filters, `${at}`, undefined);
  store.calls.length = 0;
  await newsOf(filters, `${FILTERS_MAX}`, undefined);
  assert.deepEqual(store.calls, []);
  await newsOf(filters, '0', undefined);
  assert.deepEqual(store.calls, ['getShortIds']);
});

test('a reader who names many namespaces neither drives the main one out nor holds up its clients', async (t) => {
  const { store, put } = rig(t);
  await put(id('one'));
  let [open, most] = [0, 0];
  const slow = Promise.withResolvers<void>();
  const filters = new ActionFilters({
    getShortIds: async (request) => {
      if (request.namespace !== '') {
        most = Math.max(most, ++open);
        await slow.promise;
        open--;
      }
      return store.getShortIds(request);
    },
  });
  const count = FILTER_LOADS_MAX + FILTER_LOADS_WAITING_MAX;
  const named = Array.from({ length: count }, (_, at) => newsOf(filters, `n${at}`, undefined));
  await assert.rejects(newsOf(filters, 'one more', undefined), Busy);
  const { epoch } = decodeFilterNews(await newsOf(filters, '', undefined));
  slow.resolve();
  await Promise.all(named);
  assert.equal(most, FILTER_LOADS_MAX);
  for (let at = 0; at < 2 * FILTERS_MAX; at++) await newsOf(filters, `m${at}`, undefined);
  assert.equal(decodeFilterNews(await newsOf(filters, '', undefined)).epoch, epoch);
});

for (const [why, answer] of [
  ['no answer', undefined],
  ['a page', Buffer.from('<html>hello</html>')],
  ['news of another filter', Buffer.from('02aaaaaaaaaaaaaaaa0700000000001122334455667788', 'hex')],
] as const) {
  test(`without a filter that can be read nothing is ruled out: ${why}`, async (t) => {
    let asked = 0;
    const fetch = async () => {
      asked++;
      return answer;
    };
    const filter = new MissFilter({ path: join(tempDir(t), 'filter'), fetch, now: () => 1_000 });
    assert.equal(await filter.rulesOut(id('a')), false);
    assert.equal(await filter.rulesOut(id('b')), false);
    assert.equal(asked, 1);
  });
}

test('a filter that does not come holds no get up', async (t) => {
  let answer: (bytes: undefined) => void = () => {};
  const fetch = () =>
    new Promise<undefined>((resolve) => {
      answer = resolve;
    });
  const filter = new MissFilter({ path: join(tempDir(t), 'filter'), fetch, now: () => 1_000 });
  assert.equal(await filter.rulesOut(id('a')), false);
  answer(undefined);
});

test('the header that names a filter is read with care', () => {
  assert.deepEqual(parseFilterHeader('0123456789abcdef.7'), { epoch: '0123456789abcdef', serial: 7 });
  for (const text of ['', 'x', '0123456789abcdef.', '0123456789abcdef.-1', '0123456789abcdef.1e9'])
    assert.equal(parseFilterHeader(text), undefined);
});
