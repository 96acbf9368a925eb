// Goal: the counters come out as Prometheus text under INTERFACE's names, and a strict parser accepts it.
// Method: events go in, our own parser of text format 0.0.4 reads the output, and names and sums are compared.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Counters, REQUEST_SECONDS } from '../../src/observe/counters.ts';
import { EventLoopDelay } from '../../src/observe/event-loop.ts';
import { Events } from '../../src/observe/events.ts';
import { createLogger } from '../../src/observe/logger.ts';
import { Metrics } from '../../src/observe/metrics.ts';
import { GAUGES } from '../support/gauges.ts';

type Sample = { name: string; labels: Record<string, string>; value: number };
type Family = { type: string; help: string; samples: Sample[] };

/** Reads the text format strictly: only HELP, TYPE, then the samples of that family. */
function parse(text: string): Map<string, Family> {
  const families = new Map<string, Family>();
  let current: { name: string; family: Family } | undefined;
  assert.ok(text.endsWith('\n'), 'the last line must end');
  for (const line of text.split('\n')) {
    if (line === '') continue;
    const comment = /^# (HELP|TYPE) ([a-z_:][a-z0-9_:]*) (.+)$/.exec(line);
    if (comment !== null) {
      const [, what, name = '', rest = ''] = comment;
      if (what === 'HELP') {
        assert.ok(!families.has(name), `${name} twice`);
        current = { name, family: { type: '', help: rest, samples: [] } };
        families.set(name, current.family);
      } else {
        assert.ok(current?.name === name, `TYPE of ${name} away from its HELP`);
        assert.match(rest, /^(counter|gauge|histogram|summary|untyped)$/);
        current.family.type = rest;
      }
      continue;
    }
    const sample = /^([a-z_:][a-z0-9_:]*)(?:\{(.*)\})? (\S+)$/.exec(line);
    assert.ok(sample !== null && current !== undefined, `not a sample: ${line}`);
    const [, name = '', labels = '', value = ''] = sample;
    const own = current.family.type === 'histogram' ? /_(bucket|sum|count)$/ : /$/;
    assert.equal(name.replace(own, ''), current.name, `a sample of ${name} under ${current.name}`);
    assert.match(value, /^(NaN|[+-]Inf|-?\d+(\.\d+)?(e[+-]?\d+)?)$/);
    current.family.samples.push({
      name,
      labels: labelsOf(labels),
      value: Number(value.replace('Inf', 'Infinity')),
    });
  }
  return families;
}

function labelsOf(text: string): Record<string, string> {
  const labels: Record<string, string> = {};
  let rest = text;
  while (rest !== '') {
    const match = /^([a-z_][a-z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)",?/.exec(rest);
    assert.ok(match !== null, `not labels: ${rest}`);
    const [whole, name = '', value = ''] = match;
    assert.ok(!(name in labels), `label ${name} twice`);
    labels[name] = value;
    rest = rest.slice(whole.length);
  }
  return labels;
}

function makeEvents(): { events: Events; metrics: Metrics } {
  const log = createLogger({ level: 'error', isTerminal: false });
  log.level = 'silent';
  const metrics = new Metrics();
  metrics.watch(GAUGES);
  return { events: new Events(log, metrics), metrics };
}

/** The module proxy's names with their labels, from INTERFACE, HTTP. */
const names: { name: string; type: string; labels: string[] }[] = [
  { name: 'astera_http_requests_total', type: 'counter', labels: ['route', 'code'] },
  { name: 'astera_http_request_seconds', type: 'histogram', labels: [] },
  { name: 'astera_answers_total', type: 'counter', labels: ['source'] },
  { name: 'astera_store_reads_total', type: 'counter', labels: [] },
  { name: 'astera_store_writes_total', type: 'counter', labels: [] },
  { name: 'astera_upstream_requests_total', type: 'counter', labels: ['code'] },
  { name: 'astera_upstream_resumes_total', type: 'counter', labels: [] },
  { name: 'astera_singleflight_joined_total', type: 'counter', labels: [] },
  { name: 'astera_weak_cache_bytes', type: 'gauge', labels: ['part'] },
  { name: 'astera_weak_cache_entries', type: 'gauge', labels: [] },
  { name: 'astera_event_loop_delay_seconds', type: 'gauge', labels: ['quantile'] },
  { name: 'astera_store_bytes', type: 'gauge', labels: ['file'] },
];

test('Prometheus can read the text, and it has every name of INTERFACE', async () => {
  const { events, metrics } = makeEvents();
  events.answered('mod', 200, 'memory', 0.1, '/x');
  events.upstreamAnswered(200);
  const families = parse(await metrics.text());
  for (const { name, type, labels } of names) {
    const family = families.get(name);
    assert.equal(family?.type, type, name);
    assert.notEqual(family.help, '');
    const [sample] = family.samples;
    assert.ok(sample, `${name} has no sample`);
    const known = Object.keys(sample.labels).filter((label) => label !== 'le');
    assert.deepEqual(known.sort(), [...labels].sort(), name);
  }
});

test('the copies of Git repositories are counted', async () => {
  const text = await makeEvents().metrics.text();
  for (const line of [
    'astera_git_copies 3',
    'astera_git_copies_bytes 9000',
    'astera_git_copies_removed_total 2',
    'astera_git_copies_tidied_total 1',
  ])
    assert.ok(text.includes(`\n${line}\n`), line);
});

test('the text is complete before anything happened', async () => {
  const families = parse(await new Metrics().text());
  assert.ok(families.has('astera_http_request_seconds'));
});

const counted: {
  tell: (events: Events) => void;
  name: string;
  value: number;
  labels?: Record<string, string>;
}[] = [
  { tell: (events) => events.joinedFlight(), name: 'astera_singleflight_joined_total', value: 1 },
  { tell: (events) => events.storeRead(7), name: 'astera_store_reads_total', value: 7 },
  { tell: (events) => events.storeWrote(5), name: 'astera_store_writes_total', value: 5 },
  { tell: (events) => events.upstreamResumed(), name: 'astera_upstream_resumes_total', value: 1 },
  {
    tell: (events) => events.upstreamAnswered(404),
    name: 'astera_upstream_requests_total',
    value: 1,
    labels: { code: '404' },
  },
  {
    tell: (events) => events.upstreamAnswered('error'),
    name: 'astera_upstream_requests_total',
    value: 1,
    labels: { code: 'error' },
  },
  { tell: (events) => events.fetched('k', 'u', 1_234, 1), name: 'astera_upstream_bytes_total', value: 1_234 },
  { tell: (events) => events.checkFailed('k', 'bad'), name: 'astera_check_failures_total', value: 1 },
  { tell: (events) => events.workerDied('bad'), name: 'astera_worker_deaths_total', value: 1 },
  {
    tell: (events) => events.answered('zip', 206, 'store', 3, '/x'),
    name: 'astera_http_requests_total',
    value: 1,
    labels: { route: 'zip', code: '206' },
  },
  {
    tell: (events) => events.answered('zip', 206, 'store', 3, '/x'),
    name: 'astera_answers_total',
    value: 1,
    labels: { source: 'store' },
  },
];

for (const { tell, name, value, labels = {} } of counted) {
  test(`${name} counts ${JSON.stringify(labels)}`, async () => {
    const { events, metrics } = makeEvents();
    tell(events);
    for (const times of [1, 1, 2]) {
      if (times === 2) tell(events);
      const samples = parse(await metrics.text()).get(name)?.samples ?? [];
      const sample = samples.find((one) =>
        Object.entries(labels).every(([label, text]) => one.labels[label] === text),
      );
      assert.equal(sample?.value, value * times, 'asking changes nothing, telling does');
    }
  });
}

test('the histogram holds every request, cumulated, under increasing bounds', async () => {
  const ms = fc.oneof(
    fc.double({ min: 0, max: 100_000, noNaN: true }),
    fc.constantFrom(0, 0.5, 1, 60_000, 60_001),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(ms, { maxLength: 40 }), async (all) => {
      const { events, metrics } = makeEvents();
      for (const one of all) events.answered('mod', 200, 'memory', one, '/x');
      const samples = parse(await metrics.text()).get('astera_http_request_seconds')?.samples ?? [];
      const buckets = samples.filter(({ name }) => name.endsWith('_bucket'));
      assert.deepEqual(
        buckets.map(({ labels }) => Number(labels.le?.replace('+Inf', 'Infinity'))),
        [...REQUEST_SECONDS, Number.POSITIVE_INFINITY],
      );
      for (const { labels, value } of buckets) {
        const bound = Number(labels.le?.replace('+Inf', 'Infinity'));
        assert.equal(value, all.filter((one) => one / 1_000 <= bound).length, `under ${labels.le}`);
      }
      assert.equal(samples.find(({ name }) => name.endsWith('_count'))?.value, all.length);
      const sum = all.reduce((total, one) => total + one / 1_000, 0);
      assert.ok(
        Math.abs((samples.find(({ name }) => name.endsWith('_sum'))?.value ?? -1) - sum) < 1e-6 * (1 + sum),
      );
    }),
    { numRuns: 50 },
  );
});

test('counters keep routes, codes and sources apart', () => {
  const counters = new Counters();
  counters.answered('mod', 200, 'memory', 1);
  counters.answered('mod', 200, 'store', 1);
  counters.answered('mod', 404, 'store', 1);
  counters.answered('zip', 200, 'store', 1);
  assert.deepEqual(counters.requests, [
    { route: 'mod', code: 200, count: 2 },
    { route: 'mod', code: 404, count: 1 },
    { route: 'zip', code: 200, count: 1 },
  ]);
  assert.deepEqual(counters.answers, [
    { source: 'memory', count: 1 },
    { source: 'store', count: 3 },
  ]);
});

test('the event loop’s delay is measured, and starts again after each reading', async () => {
  const delay = new EventLoopDelay();
  await new Promise((resolve) => setTimeout(resolve, 15));
  delay.take();
  const blockedMs = 60;
  const end = performance.now() + blockedMs;
  while (performance.now() < end);
  await new Promise((resolve) => setTimeout(resolve, 15));
  const { p50, p99, max } = delay.take();
  assert.ok(max >= (blockedMs - 15) / 1_000, `${max} s`);
  assert.ok(0 <= p50 && p50 <= p99 && p99 <= max);
  assert.deepEqual(delay.take(), { p50: 0, p99: 0, max: 0 });
  delay.stop();
});

test('an idle event loop is looked at a few times a second, one with work a hundred times', (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  let [nowMs, looks, busyShare] = [0, 0, 0];
  t.mock.method(performance, 'eventLoopUtilization', () => ({ utilization: busyShare }));
  t.mock.method(performance, 'now', () => {
    looks += 1;
    return nowMs;
  });
  const delay = new EventLoopDelay();
  t.after(() => delay.stop());
  const isFastFor = (ms: number) => {
    const before = looks;
    for (const untilMs = nowMs + ms; nowMs < untilMs; nowMs++) t.mock.timers.tick(1);
    return looks - before >= ms / 10;
  };
  assert.ok(isFastFor(1_000), 'a start is work');
  assert.ok(!isFastFor(3_000) && !isFastFor(1_000), 'idle');
  delay.wake();
  assert.ok(isFastFor(1_000), 'work has come');
  busyShare = 0.5;
  assert.ok(isFastFor(5_000), 'and does not end');
  busyShare = 0;
  assert.ok(!isFastFor(5_000) && !isFastFor(1_000), 'it has ended');
  busyShare = 0.5;
  isFastFor(250);
  assert.ok(isFastFor(1_000), 'work of which nobody told');
});
