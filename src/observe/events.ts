/** One function for each event. It knows the event's log line and metric, so callers know neither. */

import { isServeError, messageOf } from '../core/errors.ts';
import { POLICY_LOG_KEYS_MAX, POLICY_LOG_MS, REFUSED_LOG_MS } from './limits.ts';
import type { Logger } from './logger.ts';
import type { Metrics } from './metrics.ts';
import { Seldom } from './seldom.ts';

/** A slower answer is logged at the default level. */
const SLOW_MS = 1_000;

/** Routes of those who look after the server: no client waits for them. */
const OWN_ROUTES: ReadonlySet<string> = new Set(['healthz', 'readyz', 'metrics', 'profile']);

export class Events {
  readonly #log: Logger;
  readonly #metrics: Metrics;
  #answers = 0;
  /** When refused connections are worth a line again. */
  #refusedAgainMs = 0;

  readonly #refusedKeys = new Seldom({ pauseMs: POLICY_LOG_MS, keysMax: POLICY_LOG_KEYS_MAX });

  constructor(log: Logger, metrics: Metrics) {
    this.#log = log;
    this.#metrics = metrics;
  }

  /** Requests of clients that were answered so far. */
  get answers(): number {
    return this.#answers;
  }

  /** A request was answered, or its client is gone (`code` 499). */
  answered(route: string, code: number, source: string, ms: number, path: string): void {
    if (!OWN_ROUTES.has(route)) this.#answers++;
    this.#metrics.counters.answered(route, code, source, ms);
    if (ms > SLOW_MS) this.#log.info({ path, code, source, ms: Math.round(ms) }, 'slow answer');
    else if (this.#log.isLevelEnabled('debug')) this.#log.debug({ path, code, source, ms }, 'answer');
  }

  /** A wrong login; `pauseMs` over 0: nothing more is checked from there for so long. */
  loginFailed(address: string, pauseMs: number): void {
    this.#metrics.loginFailures.inc();
    if (pauseMs > 0) this.#log.warn({ address, pauseMs }, 'too many wrong logins');
    else this.#log.debug({ address }, 'wrong login');
  }

  /** The policy refused a version. One line for each key in POLICY_LOG_MS: a client that tries on must not fill the disk. */
  refusedByPolicy(reason: 'denied' | 'too-young', key: string, why: string): void {
    this.#metrics.policyRefusals.inc({ reason });
    if (this.#refusedKeys.isDue(key, performance.now()))
      this.#log.info({ key, why }, 'refused by the policy');
  }

  /** A body had to be broken off. Its client gets a cut connection and no clean end. */
  brokeOff(path: string, why: string): void {
    this.#log.warn({ path, why }, 'answer broken off');
  }

  /** A bug: the error is none of `core/errors.ts`, so the client must not see it. */
  bug(path: string, error: unknown): void {
    this.#log.error({ path, err: error }, 'bug: answered 500');
  }

  /** A failure that no code waited for. It ends nothing, but it is a bug that nobody was told of it. */
  forgotten(error: Error): void {
    this.#log.error({ err: error }, 'bug: nobody waited for this failure');
  }

  fetched(key: string, upstream: string, bytes: number, ms: number): void {
    this.#metrics.upstreamBytes.inc(bytes);
    this.#log.info({ key, upstream, bytes, ms: Math.round(ms) }, 'fetched');
  }

  /** A fetch failed: the upstream failed, or its file was refused. */
  fetchFailed(key: string, error: unknown): void {
    if (isServeError(error) && error.kind === 'check-failed') this.checkFailed(key, messageOf(error));
    else this.#log.warn({ key, why: messageOf(error) }, 'fetch failed');
  }

  /** A check refused an upstream's answer. Nothing of it is kept. */
  checkFailed(key: string, why: string): void {
    this.#metrics.checkFailures.inc();
    this.#log.warn({ key, why }, 'upstream answer refused');
  }

  /** The build cache was asked; `op` and `result` are those of its metric. */
  buildCacheAsked(op: string, result: string): void {
    this.#metrics.buildCacheRequests.inc({ op, result });
  }

  /** A part of a build output travelled as a delta. */
  deltaSent(contentBytes: number, deltaBytes: number): void {
    this.#metrics.deltaContentBytes.inc(contentBytes);
    this.#metrics.deltaBytes.inc(deltaBytes);
  }

  /** A client put another output for an action than the first: the build is not reproducible, or it is an attack. */
  buildConflict(actionId: string, outputId: string): void {
    this.#log.warn({ actionId, outputId }, 'build cache: another output for a known action refused');
  }

  /** An upstream sent the same wrong content twice. This is no accident. */
  tampered(key: string, why: string): void {
    this.#metrics.tampered.inc();
    this.#log.error({ key, why }, 'TAMPERED: an upstream gave the same wrong content twice');
  }

  /** A checksum database signed two histories, or its key did not sign a tree head. */
  securityEvent(why: string): void {
    this.#metrics.securityEvents.inc();
    this.#log.error({ why }, 'SECURITY: checksum database refused');
  }

  /** `--sumdb` has another key for a database than before. The database's stored files are dropped. */
  sumdbKeyChanged(database: string): void {
    this.#log.warn({ database }, 'checksum database has another key now: what was stored of it is dropped');
  }

  /** The first database of `--sumdb`, or its key, is not the one that confirmed the stored files. */
  confirmedByAnother(files: number): void {
    this.#log.warn({ files }, 'confirmed by another checksum database or key: to be confirmed again');
  }

  /** The checksum database has confirmed so many stored files in one round. */
  confirmedLater(files: number): void {
    this.#log.info({ files }, 'confirmed by the checksum database');
  }

  /** The checksum database contradicts a stored file, which may have been served. The file is dropped. */
  contradictedLater(key: string, why: string): void {
    this.#metrics.checkFailures.inc();
    this.#log.error({ key, why }, 'SECURITY: the checksum database contradicts what was served');
  }

  /** A stored file has no checksum, so `go` could not use it. The file is dropped. */
  unhashable(key: string, why: string): void {
    this.#metrics.checkFailures.inc();
    this.#log.error({ key, why }, 'dropped: no checksum can be made of it');
  }

  /** The upstream could not be asked, or failed, so a stored answer went out. */
  keptStale(key: string, why: string): void {
    this.#log.info({ key, why }, 'answered from the store');
  }

  /** A file was served but could not be stored. */
  notStored(key: string, why: string): void {
    this.#log.error({ key, why }, 'could not store');
  }

  upstreamAnswered(status: number | 'error'): void {
    this.#metrics.upstreamRequests.inc({ code: String(status) });
  }

  upstreamResumed(): void {
    this.#metrics.upstreamResumes.inc();
  }

  issuerFailed(why: string): void {
    this.#log.warn({ why }, 'logins by OIDC');
  }

  upstreamWarned(message: string): void {
    this.#log.warn({ why: message }, 'upstream');
  }

  /** Git can't work on this machine, or not well; found at the start. */
  gitLacks(what: string): void {
    this.#log.warn({ why: what }, 'git');
  }

  upstreamDown(upstream: string, forMs: number): void {
    this.#log.warn({ upstream, forMs }, 'upstream counts as down');
  }

  bucketAnswered(status: number | 'error'): void {
    this.#metrics.bucketRequests.inc({ code: String(status) });
  }

  bucketDown(why: string, forMs: number): void {
    this.#log.warn({ why, forMs }, 'bucket counts as down');
  }

  /** An object of the bucket was not what it should be. */
  bucketWrong(object: string, why: string): void {
    this.#metrics.bucketWrong.inc();
    this.#log.warn({ object, why }, 'wrong object in the bucket: to be replaced');
  }

  /** A get of the build cache that the store could not answer went to the bucket. */
  bucketActionAsked(result: 'hit' | 'miss' | 'failed'): void {
    this.#metrics.buildCacheRequests.inc({ op: 'get-bucket', result });
  }

  /** A row of the queue for the bucket ended. */
  uploaded(result: 'done' | 'failed' | 'lost', bytes: number): void {
    this.#metrics.bucketUploads.inc({ result });
    this.#metrics.bucketUploadBytes.inc(bytes);
  }

  uploadFailed(what: string, why: string, isLost: boolean): void {
    if (isLost) this.#log.error({ what, why }, 'upload given up; see astera stats, and astera push');
    else this.#log.warn({ what, why }, 'upload refused: tried again later');
  }

  joinedFlight(): void {
    this.#metrics.joined.inc();
  }

  storeRead(calls: number): void {
    this.#metrics.storeReads.inc(calls);
  }

  storeWrote(calls: number): void {
    this.#metrics.storeWrites.inc(calls);
  }

  workerDied(why: string): void {
    this.#metrics.workerDeaths.inc();
    this.#log.error({ why }, 'worker died');
  }

  /** The disk has no room to store anything. `why` undefined: there is room again. */
  diskFull(why: string | undefined): void {
    if (why === undefined) this.#log.info('there is room again: storing goes on');
    else this.#log.error({ why }, 'no room to store: answers are passed through');
  }

  /** Files of one kind were dropped for want of room. */
  evicted(kind: 'zip' | 'output', files: number, bytes: number): void {
    this.#metrics.evictedFiles.inc({ kind }, files);
    this.#metrics.evictedBytes.inc({ kind }, bytes);
  }

  /** There is room again in a store with a bound. */
  evictionEnded(bytes: number): void {
    this.#log.info({ bytes }, 'dropped what was not used for longest: --max-size');
  }

  /** The control socket got a malformed request, or could not be opened. */
  controlRefused(why: string): void {
    this.#log.warn({ why }, 'control socket');
  }

  /** All connections that there are descriptors for are open. */
  connectionRefused(open: number): void {
    this.#metrics.connectionsRefused.inc();
    const now = performance.now();
    if (now < this.#refusedAgainMs) return;
    this.#refusedAgainMs = now + REFUSED_LOG_MS;
    this.#log.warn(
      { open },
      'connections refused: no file descriptors; raise their limit (LimitNOFILE, ulimit -n)',
    );
  }

  /** No connection is accepted until there are descriptors again. */
  acceptingPaused(why: string): void {
    this.#log.warn(
      { why },
      'no connections for a while: no file descriptors, here (EMFILE) or on this machine (ENFILE)',
    );
  }

  notifyFailed(why: string): void {
    this.#log.warn({ why }, 'systemd was not told');
  }

  housekeepingFailed(why: string): void {
    this.#log.error({ why }, 'housekeeping failed');
  }
}
