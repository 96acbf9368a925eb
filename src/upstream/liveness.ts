/**
 * Knows whether one upstream is there, by its exchanges, and by a probe if these leave a doubt.
 *
 * A path that never answers says nothing about the others. So a lone silence only makes a probe go out, and the probe
 * decides. Probes ask for the root, which costs an upstream nothing, on a connection of their own: a kept one may lead
 * nowhere. An upstream that is silent on its root is asked for a client's own path the next time.
 */

import type { Clock } from '../core/ports.ts';
import { Exchange, type ExchangeObserver } from './exchange.ts';
import { Health } from './health.ts';
import { LineWatch } from './line-watch.ts';
import { Setback } from './setback.ts';
import type { Timeouts } from './settings.ts';
import type { Ask } from './source.ts';
import { within } from './within.ts';

export type LivenessOptions = {
  readonly clock: Clock;
  readonly timeouts: Timeouts;
  /** Ends probes, which belong to no request. */
  readonly closing: AbortSignal;
  /** It counts as down for `forMs`. */
  readonly onDown: (forMs: number) => void;
  /** An exchange got its status, or failed before it had one. */
  readonly onRequest: (status: number | 'error') => void;
  /** Sends a HEAD for `path` below the upstream's root, on a fresh connection. */
  readonly probe: (exchange: Exchange, asked: Asked) => void;
};

type Asked = Pick<Ask, 'path' | 'via'>;

export class Liveness {
  readonly #options: LivenessOptions;
  readonly #health: Health;
  readonly #watch: LineWatch;
  readonly #awayWatch: LineWatch;
  #probe: { readonly done: Promise<void>; readonly beganMs: number } | undefined;
  #isRootSilent = false;

  constructor(options: LivenessOptions) {
    const { clock, timeouts, onDown } = options;
    this.#options = options;
    this.#health = new Health({ clock, probeGapMs: timeouts.probeGapMs, onDown });
    this.#watch = new LineWatch(timeouts, () => this.#health.silent());
    this.#awayWatch = new LineWatch(timeouts, () => {});
  }

  get isDown(): boolean {
    return this.#health.isDown;
  }

  /** An exchange begins, made with {@link observer} of the same place. */
  began(exchange: Exchange, isAway: boolean): void {
    this.#watchOf(isAway).began(exchange);
  }

  /** If the upstream is down, waits a short time for a probe to find it alive. Starts a probe if it is time for one. */
  async untilHeard(ask: Ask): Promise<void> {
    if (!this.#health.isSuspect) return;
    this.#startProbe(ask);
    const probe = this.#probe;
    if (probe !== undefined) {
      const restMs = this.#options.timeouts.probeWaitMs - (performance.now() - probe.beganMs);
      if (restMs > 0) await within(probe.done, restMs, ask.signal);
    }
    ask.signal.throwIfAborted();
    if (this.#health.isSuspect) throw new Setback('refused', 'it is down: no connection of late');
  }

  /**
   * Hears for one exchange.
   *
   * @param asked a probe may ask for the same
   * @param isAway the exchange is with another server, to which the upstream redirected: it says nothing about the upstream
   */
  observer(asked: Asked, isAway: boolean): ExchangeObserver {
    const watch = this.#watchOf(isAway);
    return {
      connected: (exchange) => watch.connected(exchange),
      answered: (exchange, status) => {
        this.#options.onRequest(status);
        watch.heard();
        watch.ended(exchange);
        // A 200 alone does not count: some upstreams send heads and then nothing.
        if (status >= 300 && !isAway) this.#health.heard();
      },
      heard: () => {
        watch.heard();
        if (!isAway) this.#health.heard();
      },
      failed: (exchange, { kind }) => {
        if (!exchange.hasHead) this.#options.onRequest('error');
        if (isAway) return;
        if (kind === 'connect') this.#health.failed();
        else if (isSilence(kind) && !watch.hasHeardSince(exchange)) this.#startProbe(asked);
      },
      ended: (exchange) => watch.ended(exchange),
    };
  }

  #watchOf(isAway: boolean): LineWatch {
    return isAway ? this.#awayWatch : this.#watch;
  }

  // It goes on when the request that caused it is given up.
  #startProbe({ path, via }: Asked): void {
    if (this.#probe !== undefined || !this.#health.mayProbe || this.#options.closing.aborted) return;
    const { timeouts, closing, onRequest } = this.#options;
    const beganMs = performance.now();
    const exchange = new Exchange({
      observer: {
        // It does not fail together with the others: it may take its whole time to find a slow line.
        connected: () => this.#watch.connectTook(performance.now() - beganMs),
        answered: (_, status) => onRequest(status),
        heard: () => {},
        failed: ({ hasHead }) => {
          if (!hasHead) onRequest('error');
        },
        ended: () => {},
      },
      timeouts: { ...timeouts, firstByteMs: timeouts.probeMs },
      isSmall: true,
      signal: closing,
    });
    this.#health.probing();
    this.#probe = { beganMs, done: this.#probed(exchange) };
    this.#options.probe(exchange, { path: this.#isRootSilent ? path : '', via });
  }

  async #probed(exchange: Exchange): Promise<void> {
    try {
      // Any status will do: the upstream is there.
      await exchange.head;
      this.#watch.heard();
      this.#health.heard();
      await exchange.drain();
    } catch (error) {
      if (error instanceof Setback) this.#probeFailed(error);
    } finally {
      this.#probe = undefined;
      this.#health.probed();
    }
  }

  #probeFailed({ kind }: Setback): void {
    if (kind === 'silence') this.#isRootSilent = !this.#isRootSilent;
    // The connection was closed at the other end.
    if (kind === 'cut') this.#health.heard();
    else this.#health.silent();
  }
}

function isSilence(kind: Setback['kind']): boolean {
  return kind === 'silence' || kind === 'stall';
}
