/** Answers that are kept for a while, for questions that many clients ask at the same time. */

import { NotFound } from '../core/errors.ts';
import type { Clock } from '../core/ports.ts';

export type KeptAnswersOptions = {
  readonly clock: Clock;
  /** How long an answer is good. */
  readonly keptMs: number;
  /** How long a NotFound is: it is an answer too. */
  readonly missingMs: number;
  /** The oldest go first. */
  readonly keptMax: number;
};

type Kept<T> = { readonly answer: Promise<T>; untilMs: number };

export class KeptAnswers<T> {
  readonly #options: KeptAnswersOptions;
  readonly #kept = new Map<string, Kept<T>>();

  constructor(options: KeptAnswersOptions) {
    this.#options = options;
  }

  /**
   * The answer to a question; asks no two times at one moment. A failure is not kept, as it may pass: where an older answer
   * is known, that is given in its place.
   */
  async get(question: string, ask: () => Promise<T>): Promise<T> {
    const { clock, keptMs, missingMs } = this.#options;
    const nowMs = clock.monotonicMs();
    const kept = this.#kept.get(question);
    if (kept !== undefined && nowMs < kept.untilMs) return await kept.answer;
    // While it is asked it is good: only its end says how long it is then.
    const fresh: Kept<T> = { answer: ask(), untilMs: Number.POSITIVE_INFINITY };
    this.#keep(question, fresh);
    try {
      const answer = await fresh.answer;
      fresh.untilMs = clock.monotonicMs() + keptMs;
      return answer;
    } catch (error) {
      if (error instanceof NotFound) {
        fresh.untilMs = clock.monotonicMs() + missingMs;
        throw error;
      }
      if (this.#kept.get(question) === fresh) this.#kept.delete(question);
      const old = await kept?.answer.catch(() => undefined);
      if (kept === undefined || old === undefined) throw error;
      this.#keep(question, { ...kept, untilMs: 0 });
      return old;
    }
  }

  /** Forgets all. */
  clear(): void {
    this.#kept.clear();
  }

  #keep(question: string, kept: Kept<T>): void {
    this.#kept.delete(question);
    this.#kept.set(question, kept);
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= this.#options.keptMax) return;
      this.#kept.delete(oldest);
    }
  }
}
