/**
 * What `--verify` asks before a zip or a go.mod is kept.
 *
 *     off      nothing
 *     store    h1 agrees with the checksum database, or the database can't be asked or does not know it (`unconfirmed`)
 *     strict   h1 agrees
 *
 * A key whose content was contradicted is refused for a time, then fetched anew, from another
 * upstream first. The same wrong hash twice is no accident, and is said loudly.
 */

import type { Checksums, Summed, VerifyMode } from '../core/checksums.ts';
import { CheckFailed, isServeError, messageOf, UpstreamDown } from '../core/errors.ts';
import { REFUSED_KEYS_MAX } from '../core/limits.ts';
import type { Clock } from '../core/ports.ts';
import type { Resource } from '../core/resource.ts';
import type { Checked, EntryRow } from '../core/store-port.ts';
import type { Events } from '../observe/events.ts';

export type CheckedIngestOptions = {
  readonly mode: VerifyMode;
  readonly checksums: Checksums;
  readonly clock: Clock;
  readonly events: Events;
  /** How long a contradicted key is refused. */
  readonly refusedMs: number;
};

type Refusal = {
  readonly message: string;
  readonly h1: string;
  readonly upstream: string;
  readonly untilMs: number;
};

export class CheckedIngest {
  readonly #options: CheckedIngestOptions;
  readonly #refusals = new Map<string, Refusal>();

  constructor(options: CheckedIngestOptions) {
    this.#options = options;
  }

  /** Nothing goes to a client before it is confirmed. */
  get isStrict(): boolean {
    return this.#options.mode === 'strict';
  }

  covers(resource: Resource): resource is Summed {
    return this.#options.mode !== 'off' && this.#options.checksums.covers(resource);
  }

  /** Strict: whether what an earlier run kept without confirmation is as good as not there. */
  distrusts(resource: Resource, { status, trust }: Pick<EntryRow, 'status' | 'trust'>): boolean {
    return this.isStrict && status === 200 && trust !== 'confirmed' && this.covers(resource);
  }

  /** Asks the database at the first sight of a module version: its go.mod and zip are asked for next. */
  expect(resource: Resource): void {
    if (this.#options.mode !== 'off' && 'version' in resource) this.#options.checksums.prefetch(resource);
  }

  /** @throws {CheckFailed} the key's content was contradicted a short time ago */
  admit(key: string): void {
    const refusal = this.#refusals.get(key);
    if (refusal !== undefined && refusal.untilMs > this.#options.clock.monotonicMs()) {
      throw new CheckFailed(refusal.message);
    }
  }

  /** The upstream to ask last for `key`: what it gave was contradicted. */
  avoided(key: string): string | undefined {
    return this.#refusals.get(key)?.upstream;
  }

  /**
   * Whether content with this h1 may be kept.
   *
   * @throws {CheckFailed} the database has another h1
   * @throws {UpstreamDown} strict, and the database could not confirm it
   */
  async check(resource: Summed, what: { key: string; h1: string; upstream: string }): Promise<Checked> {
    const { checksums, mode } = this.#options;
    try {
      const verdict = await checksums.judge(resource, what.h1);
      const trust = verdict === 'confirmed' ? verdict : 'unconfirmed';
      if (mode === 'strict' && trust !== 'confirmed') {
        throw new UpstreamDown(
          `cannot give ${JSON.stringify(what.key)}: the checksum database has not confirmed it`,
        );
      }
      this.#refusals.delete(what.key);
      return { h1: what.h1, trust };
    } catch (error) {
      if (isServeError(error) && error.kind === 'check-failed') this.#refuse(what, messageOf(error));
      throw error;
    }
  }

  #refuse({ key, h1, upstream }: { key: string; h1: string; upstream: string }, message: string): void {
    const { clock, events, refusedMs } = this.#options;
    if (this.#refusals.get(key)?.h1 === h1) events.tampered(key, message);
    this.#refusals.delete(key);
    const [oldest] = this.#refusals.keys();
    if (oldest !== undefined && this.#refusals.size >= REFUSED_KEYS_MAX) this.#refusals.delete(oldest);
    this.#refusals.set(key, { message, h1, upstream, untilMs: clock.monotonicMs() + refusedMs });
  }
}
