/**
 * The check by `--verify` before a zip or a go.mod is kept.
 *
 *     off      no check
 *     store    h1 agrees with the checksum database; if the database can't be asked or does not know the version, the
 *              file is kept as `unconfirmed`
 *     strict   h1 agrees
 *
 * With `store` a client does not wait for the proof that the database's answer is in its tree, which takes one more
 * round trip. It waits for an answer that agrees. Somebody who can forge this answer can suppress it too, and then the
 * file goes out as unconfirmed. The proof alone decides whether the file is kept or refused.
 *
 * If the database contradicts a key's content, the key is refused for a time. Then it is fetched again, from another
 * upstream first. The same wrong hash for a second time is no accident: it gets a loud line in the log.
 */

import type { Checksums, Summed, VerifyMode } from '../core/checksums.ts';
import { CheckFailed, isServeError, messageOf, UpstreamDown } from '../core/errors.ts';
import type { Clock } from '../core/ports.ts';
import { quote } from '../core/quote.ts';
import type { Resource } from '../core/resource.ts';
import type { Checked, EntryRow, Trust } from '../core/store-port.ts';
import type { Events } from '../observe/events.ts';
import { REFUSED_KEYS_MAX } from './limits.ts';

export type CheckedIngestOptions = {
  readonly mode: VerifyMode;
  readonly checksums: Checksums;
  readonly clock: Clock;
  readonly events: Events;
  /** How long a contradicted key is refused. */
  readonly refusedMs: number;
};

/** Both promises fail if the database contradicts the content, or if it must be confirmed and can't be. */
export type Check = {
  /** Resolves when a client may have all of the content. */
  readonly passed: Promise<void>;
  /** The h1 and the trust to store with the content. */
  readonly checked: Promise<Checked>;
};

/** A file's key, the h1 of its content, and the upstream it came from. */
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

  /** True: no content goes to a client before it is confirmed. */
  get isStrict(): boolean {
    return this.#options.mode === 'strict';
  }

  /** Whether content of `resource` is checked against the database. */
  covers(resource: Resource): resource is Summed {
    return this.#options.mode !== 'off' && this.#options.checksums.covers(resource);
  }

  /** Whether `strict` must ignore a stored file, as an earlier run kept it without confirmation. */
  distrusts(resource: Resource, { status, trust }: Pick<EntryRow, 'status' | 'trust'>): boolean {
    return this.isStrict && status === 200 && trust !== 'confirmed' && this.covers(resource);
  }

  /** Whether the database may still contradict a file that is kept. `trust` undefined: it was not asked. */
  isTentative(resource: Resource, trust: Trust | undefined): boolean {
    return trust !== 'confirmed' && this.covers(resource);
  }

  /** Asks the database early, at the first request of a version: clients ask for its go.mod and zip next. */
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

  /** The upstream to ask last for `key`, as the database contradicted its content. */
  avoided(key: string): string | undefined {
    return this.#refusals.get(key)?.upstream;
  }

  /**
   * Checks whether content with this h1 may go out and may be kept.
   *
   * The check fails with CheckFailed if the database has another h1. With `strict` it fails with UpstreamDown if the
   * database did not confirm it.
   */
  check(resource: Summed, what: Content): Check {
    const checked = this.#check(resource, what);
    const passed = this.isStrict ? checked : Promise.race([this.#claimed(resource, what, checked), checked]);
    const check = { passed: passed.then(() => {}), checked };
    check.passed.catch(() => {}); // Callers that await either promise get the error.
    return check;
  }

  /** Resolves when the database's answer agrees, proven or not; if it does not agree, after the proof. */
  async #claimed(resource: Summed, { h1 }: Content, checked: Promise<Checked>): Promise<void> {
    if (!(await this.#options.checksums.isClaimed(resource, h1))) await checked;
  }

  async #check(resource: Summed, what: Content): Promise<Checked> {
    const { checksums, mode } = this.#options;
    try {
      const verdict = await checksums.judge(resource, what.h1);
      const trust = verdict === 'confirmed' ? verdict : 'unconfirmed';
      if (mode === 'strict' && trust !== 'confirmed') {
        throw new UpstreamDown(`cannot give ${quote(what.key)}: the checksum database has not confirmed it`);
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
