/**
 * The settings that the composition root gives to this room, and their defaults.
 *
 * The numbers are for a poor line: a satellite needs 2 s for TCP and TLS, a saturated ADSL line
 * with full buffers as much again; a dead line must be noticed before a `go mod tidy` is 5 s late.
 */

import type { Login } from '../core/netrc.ts';
import type { Clock } from '../core/ports.ts';
import { SMALL_ANSWER_MS } from './limits.ts';

/** How long each part of a request may take. A zip as a whole has no bound: a slow line is not an error. */
export type Timeouts = {
  /** Name lookup, TCP and TLS together, while the upstream is heard on other connections. */
  readonly connectMs: number;
  /**
   * The same while nothing at all is heard from that upstream. By 3 s Linux has sent the SYN three
   * times (at 0, 1 and 3 s), so this silence stands for three failures in a row. It grows with the
   * time that connections took lately, up to `connectMs`.
   */
  readonly silenceMs: number;
  /** For all tries together until an answer begins: an upstream may be cloning the module's repository first. */
  readonly firstByteMs: number;
  /** Until a request on a kept connection is sent on a fresh one too: the server behind the kept one may be gone. */
  readonly besideMs: number;
  /** For the next byte of a small file, the next `STALL_BYTES_MIN` of a zip, each read of a local file. */
  readonly stallMs: number;
  /** For the body of a small file at any rate; then its mean rate counts. */
  readonly smallMs: number;
  /** For the body of an error or a redirect. Its head has all that counts, and is here already. */
  readonly wordsMs: number;
  /** How long a request waits for a probe of an upstream that is down. Less than the promised second. */
  readonly probeWaitMs: number;
  /** From a probe to its answer. */
  readonly probeMs: number;
  /** Rest between two probes. */
  readonly probeGapMs: number;
};

/** Waits before a new try: doubling from `baseMs` to `capMs`, each between half and whole by chance. */
export type Backoff = { readonly baseMs: number; readonly capMs: number };

/** HTTP proxies as HTTP_PROXY, HTTPS_PROXY and NO_PROXY name them; `isCgi`: REQUEST_METHOD is set too. */
export type ProxyEnv = {
  readonly httpProxy?: string;
  readonly httpsProxy?: string;
  readonly noProxy?: string;
  readonly isCgi?: boolean;
};

/** The operator's login for a URL. */
export type LoginFor = (url: URL) => Login | undefined;

/** The events of this room for logs and metrics. They are called on the front thread, so they must be quick. */
export type UpstreamEvents = {
  /** An exchange got its status, or failed before it had one. */
  request(status: number | 'error'): void;
  /** A broken download goes on, or starts again. */
  resume(): void;
  /** One line worth a log entry; no userinfo in it. */
  warn(message: string): void;
  /** `name` counts as down for `forMs`. */
  down(name: string, forMs: number): void;
};

export type UpstreamOptions = {
  /** GOPROXY syntax. */
  readonly list: string;
  /** This process's own id, for `Via`: letters, digits, `.`, `_` and `-`. */
  readonly instance: string;
  /** Astera's version, for `User-Agent`. */
  readonly version: string;
  readonly clock: Clock;
  /** Uniform in [0, 1); spreads the tries of many requests. */
  readonly random?: () => number;
  readonly timeouts?: Partial<Timeouts>;
  readonly backoff?: Partial<Backoff>;
  /** Requests open at one time; default UPSTREAM_REQUESTS_MAX. */
  readonly requestsMax?: number;
  /** Requests waiting for their turn; default UPSTREAM_QUEUE_MAX. */
  readonly queueMax?: number;
  readonly proxyEnv?: ProxyEnv;
  /** The operator's logins; none by default. */
  readonly loginFor?: LoginFor;
  readonly events?: Partial<UpstreamEvents>;
};

export const TIMEOUTS: Timeouts = {
  connectMs: 10_000,
  silenceMs: 3_000,
  firstByteMs: 300_000,
  besideMs: 5_000,
  stallMs: 30_000,
  smallMs: SMALL_ANSWER_MS,
  wordsMs: 2_000,
  probeWaitMs: 800,
  probeMs: 10_000,
  probeGapMs: 1_000,
};

export const BACKOFF: Backoff = { baseMs: 100, capMs: 5_000 };

const nothing = (): void => {};

/** The hooks with the missing ones filled in. */
export function allEvents(events: Partial<UpstreamEvents> = {}): UpstreamEvents {
  return { request: nothing, resume: nothing, warn: nothing, down: nothing, ...events };
}
