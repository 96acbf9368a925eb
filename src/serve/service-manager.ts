/**
 * Tells systemd that this server is ready, is alive or stops. Without systemd it does nothing.
 *
 * Node has no datagram sockets of the file system, so `systemd-notify` sends each message: a process of 3 ms, a few
 * of them in each watchdog's time. Follows sd_notify(3) and sd_watchdog_enabled(3).
 */

import { execFile } from 'node:child_process';

export type ServiceManagerOptions = {
  /** Sent so often that one late message does no harm; without it there is no watchdog. */
  readonly watchdogMs: number | undefined;
  /** Settles, however, when the server's threads answer. */
  readonly isAlive: () => Promise<unknown>;
  readonly send: (message: string) => void;
};

/** Messages a watchdog's time. */
const MESSAGES_A_TIME = 3;

/** A message that takes longer is lost. */
const SEND_MS_MAX = 10_000;

export class ServiceManager {
  readonly #options: ServiceManagerOptions;
  #timer: NodeJS.Timeout | undefined;
  #isAsking = false;

  constructor(options: ServiceManagerOptions) {
    this.#options = options;
  }

  /** The server answers requests. From now on the watchdog is fed. */
  ready(): void {
    const { watchdogMs, send } = this.#options;
    send('READY=1');
    if (watchdogMs !== undefined)
      this.#timer = setInterval(() => void this.#feed(), watchdogMs / MESSAGES_A_TIME);
  }

  /** The server takes itself down, within the time that the unit has for it. */
  stopping(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#options.send('STOPPING=1');
  }

  /** A front that hangs sends nothing, and one whose readers hang waits here. */
  async #feed(): Promise<void> {
    if (this.#isAsking) return;
    this.#isAsking = true;
    await this.#options.isAlive().catch(() => {});
    this.#isAsking = false;
    if (this.#timer !== undefined) this.#options.send('WATCHDOG=1');
  }
}

/** Sends a message to the socket that NOTIFY_SOCKET names. `onFailure` is told why it could not. */
export function notifySystemd(message: string, onFailure: (why: string) => void): void {
  execFile('systemd-notify', [message], { timeout: SEND_MS_MAX }, (error) => {
    if (error !== null) onFailure(`cannot send ${message}: ${error.message.trim()}`);
  });
}
