/**
 * The metrics of INTERFACE as Prometheus text. Plain counters count, and prom-client formats.
 *
 * Dashboards depend on the names; see README, Metrics.
 */

import type { Metric } from 'prom-client';
import type { GitCopies, Totals } from '../core/status.ts';
import type { StoreSizes } from '../core/store-port.ts';
import type { UploadCounts } from '../core/upload-port.ts';
import { Counters, REQUEST_SECONDS } from './counters.ts';
import type { LoopDelay } from './event-loop.ts';
import { Counter, Gauge, Registry } from './prom-client.ts';

/** Values that are read at each scrape. */
export type Gauges = {
  weakCache(): { bytes: { strong: number; weak: number }; size: number };
  loopDelay(): LoopDelay;
  storeSizes(): Promise<StoreSizes>;
  /** Bytes that the store may have; Infinity without a bound. */
  storeBytesMax(): number;
  /** Of the queue for the bucket. */
  uploads(): Promise<UploadCounts>;
  /** Undefined without Git. */
  gitCopies(): GitCopies | undefined;
  /** Requests that are being answered, and open connections. */
  open(): { readonly requests: number; readonly connections: number };
};

export class Metrics {
  readonly counters = new Counters();
  readonly #registry = new Registry();
  readonly storeReads = this.#counter('astera_store_reads_total', 'Rows asked of the reader threads');
  readonly storeWrites = this.#counter('astera_store_writes_total', 'Calls the writer thread committed');
  readonly upstreamRequests = this.#counter('astera_upstream_requests_total', 'Requests sent out', ['code']);
  readonly upstreamResumes = this.#counter(
    'astera_upstream_resumes_total',
    'Downloads resumed after a break',
  );
  readonly upstreamBytes = this.#counter(
    'astera_upstream_bytes_total',
    'Bytes of whole files from upstreams',
  );
  readonly joined = this.#counter('astera_singleflight_joined_total', 'Requests that joined a flight');
  readonly checkFailures = this.#counter('astera_check_failures_total', 'Upstream answers that were refused');
  readonly tampered = this.#counter('astera_tampered_total', 'Wrong content that an upstream sent twice');
  readonly securityEvents = this.#counter('astera_sumdb_security_events_total', 'Forks and bad signatures');
  readonly loginFailures = this.#counter('astera_login_failures_total', 'Wrong logins');
  readonly policyRefusals = this.#counter(
    'astera_policy_refusals_total',
    'Requests for versions that the policy refuses',
    ['reason'],
  );
  readonly logLinesDropped = this.#counter(
    'astera_log_lines_dropped_total',
    'Log lines that stderr had no room for',
  );
  readonly connectionsRefused = this.#counter(
    'astera_http_connections_refused_total',
    'Connections closed at once for want of file descriptors',
  );
  readonly deltaContentBytes = this.#counter(
    'astera_buildcache_delta_content_bytes_total',
    'Bytes of build outputs that went out as deltas',
  );
  readonly deltaBytes = this.#counter(
    'astera_buildcache_delta_bytes_total',
    'Bytes of these deltas, before their stream is packed',
  );
  readonly buildCacheRequests = this.#counter(
    'astera_buildcache_requests_total',
    'Gets and puts of the build cache',
    ['op', 'result'],
  );
  readonly evictedFiles = this.#counter('astera_evicted_files_total', 'Files dropped for want of room', [
    'kind',
  ]);
  readonly evictedBytes = this.#counter('astera_evicted_bytes_total', 'Bytes dropped for want of room', [
    'kind',
  ]);
  readonly bucketRequests = this.#counter('astera_bucket_requests_total', 'Requests sent to the bucket', [
    'code',
  ]);
  readonly bucketWrong = this.#counter(
    'astera_bucket_wrong_total',
    'Objects that were not what they should be',
  );
  readonly bucketUploads = this.#counter('astera_bucket_uploads_total', 'Ends of uploads', ['result']);
  readonly bucketUploadBytes = this.#counter('astera_bucket_upload_bytes_total', 'Bytes uploaded');
  readonly workerDeaths = this.#counter(
    'astera_worker_deaths_total',
    'Worker threads that died and were replaced',
  );

  constructor() {
    const { counters } = this;
    for (const reason of ['denied', 'too-young']) this.policyRefusals.inc({ reason }, 0);
    this.#pulled('astera_http_requests_total', 'Requests answered', ['route', 'code'], (metric) => {
      for (const { route, code, count } of counters.requests) metric.inc({ route, code }, count);
    });
    this.#pulled('astera_answers_total', 'Answers by where they came from', ['source'], (metric) => {
      for (const { source, count } of counters.answers) metric.inc({ source }, count);
    });
    // The registry calls only get() of a metric, and this one has nothing else.
    this.#registry.registerMetric(requestHistogram(counters) as unknown as Metric);
  }

  /** Adds the gauges, which need a running server. */
  watch(gauges: Gauges): void {
    this.#gauge('astera_weak_cache_bytes', 'Bytes the weak cache holds', ['part'], (metric) => {
      const { strong, weak } = gauges.weakCache().bytes;
      metric.set({ part: 'strong' }, strong);
      metric.set({ part: 'weak' }, weak);
    });
    this.#gauge('astera_weak_cache_entries', 'Entries in the weak cache', [], (metric) => {
      metric.set(gauges.weakCache().size);
    });
    this.#gauge(
      'astera_event_loop_delay_seconds',
      'Delay of the front thread since the last scrape',
      ['quantile'],
      (metric) => {
        for (const [quantile, seconds] of Object.entries(gauges.loopDelay()))
          metric.set({ quantile }, seconds);
      },
    );
    this.#gauge('astera_http_open', 'Requests being answered, and open connections', ['what'], (metric) => {
      for (const [what, count] of Object.entries(gauges.open())) metric.set({ what }, count);
    });
    this.#gauge('astera_git_copies', 'Copies of Git repositories', [], (metric) => {
      metric.set(gauges.gitCopies()?.copies ?? 0);
    });
    this.#gauge('astera_git_copies_bytes', 'Bytes of the copies of Git repositories', [], (metric) => {
      metric.set(gauges.gitCopies()?.bytes ?? 0);
    });
    this.#pulled('astera_git_copies_removed_total', 'Copies removed for want of room', [], (metric) => {
      metric.inc(gauges.gitCopies()?.removed ?? 0);
    });
    this.#pulled('astera_git_copies_tidied_total', 'Copies whose packs were joined', [], (metric) => {
      metric.inc(gauges.gitCopies()?.tidied ?? 0);
    });
    // All gauges of one scrape share one read of the store. If it fails, the other metrics still go out.
    let looking: ReturnType<Gauges['storeSizes']> | undefined;
    const look = async () => {
      looking ??= gauges.storeSizes().finally(() => {
        looking = undefined;
      });
      return looking.catch(() => NOTHING_SEEN);
    };
    this.#gauge('astera_store_bytes', 'Bytes of the store and of its WAL', ['file'], async (metric) => {
      const { storeBytes, walBytes } = await look();
      metric.set({ file: 'store' }, storeBytes);
      metric.set({ file: 'wal' }, walBytes);
    });
    this.#gauge('astera_store_bytes_max', 'Bytes that the store may have', [], (metric) => {
      metric.set(gauges.storeBytesMax());
    });
    this.#watchUploads(gauges);
    const unchecked = 'Zips and go.mod files that were not checked against the checksum database yet';
    this.#gauge('astera_unchecked', unchecked, [], async (metric) => {
      metric.set((await look()).unchecked);
    });
    const unconfirmed = 'Zips and go.mod files that the checksum database has not confirmed yet';
    this.#gauge('astera_unconfirmed', unconfirmed, [], async (metric) => {
      metric.set((await look()).unconfirmed);
    });
    const unknown = 'Unconfirmed files that the checksum database does not know';
    this.#gauge('astera_unknown_to_sumdb', unknown, [], async (metric) => {
      metric.set((await look()).unknown);
    });
  }

  #watchUploads({ uploads }: Gauges): void {
    let looking: Promise<UploadCounts | undefined> | undefined;
    const look = () => {
      looking ??= uploads()
        .catch(() => undefined)
        .finally(() => {
          looking = undefined;
        });
      return looking;
    };
    const gauge = (name: string, help: string, value: (counts: UploadCounts) => number) =>
      this.#gauge(name, help, [], async (metric) => {
        const counts = await look();
        metric.set(counts === undefined ? Number.NaN : value(counts));
      });
    gauge('astera_bucket_queue_length', 'Files that wait for the bucket', ({ waiting }) => waiting);
    gauge(
      'astera_bucket_queue_oldest_seconds',
      'Age of the oldest file that waits for the bucket',
      (counts) => (counts.oldestAtMs === undefined ? 0 : Math.max(0, Date.now() - counts.oldestAtMs) / 1000),
    );
    gauge('astera_bucket_lost', 'Files that the bucket refused for good', ({ lost }) => lost);
    gauge('astera_bucket_skipped', 'Files that found the queue full', ({ skipped }) => skipped);
  }

  text(): Promise<string> {
    return this.#registry.metrics();
  }

  /** The figures of the status page, out of the same counters. */
  async totals(): Promise<Totals> {
    const from = (source: string) => this.counters.answersFrom(source);
    const requests = await samplesOf(this.upstreamRequests);
    const asked = await samplesOf(this.buildCacheRequests);
    const build = (op: string, result: string) =>
      sum(asked.filter(({ labels }) => labels.op === op && labels.result === result));
    return {
      memory: from('memory'),
      store: from('store'),
      upstream: from('upstream'),
      git: from('git'),
      bucket: from('bucket'),
      stale: from('stale'),
      computed: from('computed'),
      refused: sum(await samplesOf(this.policyRefusals)),
      upstreamRequests: sum(requests),
      upstreamFailures: sum(requests.filter(({ labels }) => /^(?:error|5)/.test(String(labels.code)))),
      upstreamBytes: sum(await samplesOf(this.upstreamBytes)),
      // A client does not ask for what a session's stream has brought.
      buildHits: build('get', 'hit') + build('session-output', 'hit'),
      buildMisses: build('get', 'miss'),
      buildPuts: build('put', 'stored'),
      storeWrites: sum(await samplesOf(this.storeWrites)),
    };
  }

  #counter(name: string, help: string, labelNames: string[] = []): Counter {
    return new Counter({ name, help, labelNames, registers: [this.#registry] });
  }

  #pulled(name: string, help: string, labelNames: string[], fill: (metric: Counter) => void): void {
    const metric: Counter = new Counter({
      name,
      help,
      labelNames,
      registers: [this.#registry],
      collect: () => {
        metric.reset();
        fill(metric);
      },
    });
  }

  #gauge(
    name: string,
    help: string,
    labelNames: string[],
    fill: (metric: Gauge) => void | Promise<void>,
  ): void {
    const metric: Gauge = new Gauge({
      name,
      help,
      labelNames,
      registers: [this.#registry],
      collect: () => fill(metric),
    });
  }
}

type Sample = { readonly value: number; readonly labels: Partial<Record<string, string | number>> };

async function samplesOf(counter: Counter): Promise<readonly Sample[]> {
  return (await counter.get()).values;
}

function sum(samples: readonly Sample[]): number {
  return samples.reduce((all, { value }) => all + value, 0);
}

const NOTHING_SEEN: StoreSizes = {
  storeBytes: Number.NaN,
  walBytes: Number.NaN,
  unchecked: Number.NaN,
  unconfirmed: Number.NaN,
  unknown: Number.NaN,
};

function requestHistogram(counters: Counters): object {
  const name = 'astera_http_request_seconds';
  const get = () => {
    let sum = 0;
    const values = [...REQUEST_SECONDS, '+Inf' as const].map((le, i) => {
      sum += counters.buckets[i] ?? 0;
      return { labels: { le }, value: sum, metricName: `${name}_bucket` };
    });
    const rest = [
      { labels: {}, value: counters.seconds, metricName: `${name}_sum` },
      { labels: {}, value: sum, metricName: `${name}_count` },
    ];
    return {
      name,
      help: 'Time from a request to the end of its answer',
      type: 'histogram',
      values: [...values, ...rest],
      aggregator: 'sum',
    };
  };
  return { name, get };
}
