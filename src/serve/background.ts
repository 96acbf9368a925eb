/**
 * A server's background: holds what is stored against the checksum database, in a thread of its own
 * that is there while there is work, so that no client's zip queues up behind it.
 */

import { setTimeout } from 'node:timers/promises';
import { LaterConfirm, type LaterConfirmOptions } from '../modules/later-confirm.ts';
import { StoredCheck } from '../modules/stored-check.ts';
import type { Config } from '../settings/config.ts';
import { BuilderPool } from '../workers/builder-pool.ts';
import { clock } from './clock.ts';
import { databasesOf } from './databases.ts';
import type { Services } from './services.ts';

/** Between two looks for work: what an import brings, or a database that is back, is found within. */
const LOOK_MS = 60_000;

type BackgroundParts = Pick<LaterConfirmOptions, 'store' | 'events'> & Pick<Services, 'checks'>;

export class Background {
  readonly #builder: BuilderPool;
  /** None where nobody is to be asked. */
  readonly #work: LaterConfirm | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(config: Config, { checks, ...parts }: BackgroundParts) {
    this.#builder = BuilderPool.inBackground(config.dbPath);
    if (config.verify === 'off' || databasesOf(config).length === 0) return;
    this.#work = new LaterConfirm({
      ...parts,
      check: new StoredCheck({ ...checks, builder: this.#builder.call }),
      clock,
      rest: (ms) => setTimeout(ms, undefined, { ref: false }),
    });
  }

  get threadIds(): number[] {
    return this.#builder.threadIds;
  }

  /** Looks for work now and every now and then. */
  start(): void {
    void this.#work?.start();
    this.#timer = setInterval(() => void this.#work?.start(), LOOK_MS);
  }

  /** Before the store closes: what is under way then fails in silence. */
  stop(): void {
    clearInterval(this.#timer);
    this.#work?.stop();
  }

  close(): Promise<void> {
    return this.#builder.close();
  }
}
