/**
 * What `--verify` asks before a zip or a go.mod is kept.
 *
 *     off      nothing
 *     store    h1 agrees with the checksum database, or the database can't be asked or does not know it (`unconfirmed`)
 *     strict   h1 agrees
 *
 * With `store` a client need not wait for the proof that the database's answer is in its tree, a round
 * trip more: an answer that agrees lets it go. Who could make one up could as well suppress it, and
 * the file would go out as unconfirmed. What is kept, and what is refused, goes by the proof alone.
 *
 * A key whose content was contradicted is refused for a time, then fetched anew, from another
 * upstream first. The same wrong hash twice is no accident, and is said loudly.
 */

import type { Checksums, Summed, VerifyMode } from '../core/checksums.ts';
import { CheckFailed, isServeError, messageOf, UpstreamDown } from '../core/errors.ts';
import { REFUSED_KEYS_MAX } from '../core/limits.ts';
import type { Clock } from '../core/ports.ts';
import type { Resource } from '../core/resource.ts';
import type { Checked, EntryRow, Trust } from '../core/store-port.ts';
import type { Events } from '../observe/events.ts';

export type CheckedIngestOptions = {
  readonly mode: VerifyMode;
  readonly checksums: Checksums;
  readonly clock: Clock;
  readonly events: Events;
  /** How long a contradicted key is refused. */
  readonly refusedMs: number;
};

/** Both fail where content is contradicted, or can't be confirmed and must be. */
export type Check = {
  /** When a client may have all of the content. */
  readonly passed: Promise<void>;
  /** What to keep it with. */
  readonly checked: Promise<Checked>;
};

/** A file's key, its own h1, and who gave it. */
type Content = { readonly key: string; readonly h1: string; readonly upstream: string };

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

  /** Whether the database may still refuse what is kept. `trust` undefined: nobody was asked. */
  isTentative(resource: Resource, trust: Trust | undefined): boolean {
    return trust !== 'confirmed' && this.covers(resource);
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
   * Whether content with this h1 may be given, and kept.
   *
   * Fails with CheckFailed where the database has another h1; strict, with UpstreamDown where it could
   * not confirm it.
   */
  check(resource: Summed, what: Content): Check {
    const checked = this.#check(resource, what);
    const passed = this.isStrict ? checked : Promise.race([this.#claimed(resource, what, checked), checked]);
    const check = { passed: passed.then(() => {}), checked };
    check.passed.catch(() => {}); // Whoever waits for either sees it.
    return check;
  }

  /** When the database's answer agrees, though it is not proven yet; else when that is known. */
  async #claimed(resource: Summed, { h1 }: Content, checked: Promise<Checked>): Promise<void> {
    if (!(await this.#options.checksums.isClaimed(resource, h1))) await checked;
  }

  async #check(resource: Summed, what: Content): Promise<Checked> {
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

  #refuse({ key, h1, upstream }: Content, message: string): void {
    const { clock, events, refusedMs } = this.#options;
    if (this.#refusals.get(key)?.h1 === h1) events.tampered(key, message);
    this.#refusals.delete(key);
    const [oldest] = this.#refusals.keys();
    if (oldest !== undefined && this.#refusals.size >= REFUSED_KEYS_MAX) this.#refusals.delete(oldest);
    this.#refusals.set(key, { message, h1, upstream, untilMs: clock.monotonicMs() + refusedMs });
  }
}
