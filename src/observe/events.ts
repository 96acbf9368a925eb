/** One function for each event. It knows the event's log line and metric, so callers know neither. */

import { isServeError, messageOf } from '../core/errors.ts';
import type { Logger } from './logger.ts';
import type { Metrics } from './metrics.ts';

/** An answer that took longer is logged at the default level. */
const SLOW_MS = 1_000;

export class Events {
  readonly #log: Logger;
  readonly #metrics: Metrics;

  constructor(log: Logger, metrics: Metrics) {
    this.#log = log;
    this.#metrics = metrics;
  }

  /** A request was answered, or its client had gone (`code` 499). */
  answered(route: string, code: number, source: string, ms: number, path: string): void {
    this.#metrics.counters.answered(route, code, source, ms);
    if (ms > SLOW_MS) this.#log.info({ path, code, source, ms: Math.round(ms) }, 'slow answer');
    else if (this.#log.isLevelEnabled('debug')) this.#log.debug({ path, code, source, ms }, 'answer');
  }

  /** A body had to be broken off: its client sees a cut connection, never a clean end. */
  brokeOff(path: string, why: string): void {
    this.#log.warn({ path, why }, 'answer broken off');
  }

  /** A bug: what was thrown is none of the errors a client may see. */
  bug(path: string, error: unknown): void {
    this.#log.error({ path, err: error }, 'bug: answered 500');
  }

  fetched(key: string, upstream: string, bytes: number, ms: number): void {
    this.#metrics.upstreamBytes.inc(bytes);
    this.#log.info({ key, upstream, bytes, ms: Math.round(ms) }, 'fetched');
  }

  /** Nothing came of it: the upstream failed, or gave what was not asked for. */
  fetchFailed(key: string, error: unknown): void {
    if (isServeError(error) && error.kind === 'check-failed') this.checkFailed(key, messageOf(error));
    else this.#log.warn({ key, why: messageOf(error) }, 'fetch failed');
  }

  /** An upstream's answer was not what it must be; nothing of it is kept. */
  checkFailed(key: string, why: string): void {
    this.#metrics.checkFailures.inc();
    this.#log.warn({ key, why }, 'upstream answer refused');
  }

  /** An upstream gave the same wrong content twice: no accident. */
  tampered(key: string, why: string): void {
    this.#metrics.tampered.inc();
    this.#log.error({ key, why }, 'TAMPERED: an upstream gave the same wrong content twice');
  }

  /** A checksum database signed two histories, or a head that its key did not sign. */
  securityEvent(why: string): void {
    this.#metrics.securityEvents.inc();
    this.#log.error({ why }, 'SECURITY: checksum database refused');
  }

  /** `--sumdb` has another key for a database than before: what is stored of it proves nothing now. */
  sumdbKeyChanged(database: string): void {
    this.#log.warn({ database }, 'checksum database has another key now: what was stored of it is dropped');
  }

  /** `--sumdb` begins with another database, or another key of it, than what is stored was confirmed by. */
  confirmedByAnother(files: number): void {
    this.#log.warn({ files }, 'confirmed by another checksum database or key: to be confirmed again');
  }

  /** The checksum database has confirmed what was kept without its word: so many files, in one round. */
  confirmedLater(files: number): void {
    this.#log.info({ files }, 'confirmed by the checksum database');
  }

  /** The checksum database contradicts what was kept, and served, without its word; it is dropped. */
  contradictedLater(key: string, why: string): void {
    this.#metrics.checkFailures.inc();
    this.#log.error({ key, why }, 'SECURITY: the checksum database contradicts what was served');
  }

  /** No checksum can be made of what was imported, or kept unchecked: `go` could not use it; it is dropped. */
  unhashable(key: string, why: string): void {
    this.#metrics.checkFailures.inc();
    this.#log.error({ key, why }, 'dropped: no checksum can be made of it');
  }

  /** The upstream could not be asked, or failed: what is stored went out. */
  keptStale(key: string, why: string): void {
    this.#log.info({ key, why }, 'answered from the store');
  }

  /** It was served, but is not kept. */
  notStored(key: string, why: string): void {
    this.#log.error({ key, why }, 'could not store');
  }

  upstreamAnswered(status: number | 'error'): void {
    this.#metrics.upstreamRequests.inc({ code: String(status) });
  }

  upstreamResumed(): void {
    this.#metrics.upstreamResumes.inc();
  }

  upstreamWarned(message: string): void {
    this.#log.warn({ why: message }, 'upstream');
  }

  upstreamDown(upstream: string, forMs: number): void {
    this.#log.warn({ upstream, forMs }, 'upstream counts as down');
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

  /** Nothing can be stored for want of room; undefined: it can again. */
  diskFull(why: string | undefined): void {
    if (why === undefined) this.#log.info('there is room again: storing goes on');
    else this.#log.error({ why }, 'no room to store: answers are passed through');
  }

  /** The control socket got a malformed request, or could not be opened. */
  controlRefused(why: string): void {
    this.#log.warn({ why }, 'control socket');
  }

  notifyFailed(why: string): void {
    this.#log.warn({ why }, 'systemd was not told');
  }

  housekeepingFailed(why: string): void {
    this.#log.error({ why }, 'housekeeping failed');
  }
}
