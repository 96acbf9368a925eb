/**
 * Keeps this server from being locked out where its login is refused.
 *
 * A server of repositories counts wrong logins, and locks the account or the address after a few. So a repository whose
 * server refused the login is left alone for a while, and after a few refusals so is the whole server. Until a server has
 * once let us in, it is asked one question at a time: forty clients at once must not be forty wrong logins.
 */

import { Forbidden } from '../core/errors.ts';
import type { Clock } from '../core/ports.ts';
import { GIT_REFUSALS_MAX, GIT_REFUSALS_MS, GIT_REFUSED_MS, GIT_SERVERS_MAX } from './limits.ts';

/** A server refuses the login, or wants one where there is none. */
export class LoginRefused extends Forbidden {
  /** Nothing was tried: there is no login for it. Undefined where that is not known yet. */
  readonly isAnonymous: boolean | undefined;

  constructor(
    message: string,
    { isAnonymous, cause }: { isAnonymous: boolean | undefined; cause?: unknown },
  ) {
    super(message, { cause });
    this.isAnonymous = isAnonymous;
  }
}

/** What is asked. */
export type LoginTarget = {
  /** The repository, or a page. */
  readonly url: string;
  /** Whoever counts the logins: a scheme, a user and a host, as {@link serverOf} gives them. */
  readonly server: string;
  /** Whether there is no login for it: then nothing can be locked. */
  readonly isAnonymous: () => Promise<boolean>;
};

/** The server of a URL, with the user if it names one. */
export function serverOf(url: string): string {
  return /^[a-z0-9+.-]+:\/\/[^/]*/i.exec(url)?.[0] ?? url;
}

type Server = {
  /** It let us in, or failed in another way: any number of questions may be asked at a time. */
  isOpen: boolean;
  /** The question that is asked alone. Never rejects. */
  alone: Promise<void> | undefined;
  refusedAtMs: number[];
  why: string;
};

type Pause = { readonly untilMs: number; readonly why: string };

export class LoginPauses {
  readonly #clock: Clock;
  readonly #servers = new Map<string, Server>();
  readonly #pauses = new Map<string, Pause>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Does `work`, which asks the target's server.
   *
   * @throws {Forbidden} at once, in a pause; with the first refusal's words
   */
  async ask<T>(target: LoginTarget, work: () => Promise<T>): Promise<T> {
    const server = this.#server(target.server);
    while (!server.isOpen && server.alone !== undefined) await server.alone;
    this.#check(target.url, server);
    const asked = this.#attempt(target, server, work);
    if (!server.isOpen) {
      const alone = asked.then(
        () => {},
        () => {},
      );
      server.alone = alone;
      void alone.then(() => {
        if (server.alone === alone) server.alone = undefined;
      });
    }
    return await asked;
  }

  /** Ends all pauses: the logins may be others now. */
  clear(): void {
    this.#servers.clear();
    this.#pauses.clear();
  }

  async #attempt<T>(target: LoginTarget, server: Server, work: () => Promise<T>): Promise<T> {
    try {
      const done = await work();
      server.isOpen = true;
      server.refusedAtMs = [];
      return done;
    } catch (error) {
      if (!(error instanceof LoginRefused)) {
        server.isOpen = true;
        throw error;
      }
      throw await this.#refused(target, server, error);
    }
  }

  async #refused(target: LoginTarget, server: Server, error: LoginRefused): Promise<LoginRefused> {
    const isAnonymous = error.isAnonymous ?? (await target.isAnonymous());
    const { message, cause } = error;
    if (!isAnonymous) {
      const nowMs = this.#clock.monotonicMs();
      server.isOpen = false;
      server.refusedAtMs = [...server.refusedAtMs, nowMs].slice(-GIT_REFUSALS_MAX);
      server.why = message;
      this.#pauses.delete(target.url);
      this.#pauses.set(target.url, { untilMs: nowMs + GIT_REFUSED_MS, why: message });
      dropOldest(this.#pauses);
    }
    return new LoginRefused(message, { isAnonymous, cause });
  }

  #check(url: string, { refusedAtMs, why }: Server): void {
    const nowMs = this.#clock.monotonicMs();
    const pause = this.#pauses.get(url);
    if (pause !== undefined && nowMs < pause.untilMs) throw paused(pause.why, pause.untilMs - nowMs);
    const [oldest] = refusedAtMs;
    if (oldest === undefined || refusedAtMs.length < GIT_REFUSALS_MAX) return;
    const leftMs = oldest + GIT_REFUSALS_MS - nowMs;
    if (leftMs > 0) throw paused(`its server refused ${GIT_REFUSALS_MAX} logins: ${why}`, leftMs);
  }

  #server(name: string): Server {
    const known = this.#servers.get(name);
    const server = known ?? { isOpen: false, alone: undefined, refusedAtMs: [], why: '' };
    this.#servers.delete(name);
    this.#servers.set(name, server);
    dropOldest(this.#servers);
    return server;
  }
}

function paused(why: string, leftMs: number): Forbidden {
  return new Forbidden(`${why}; not asked again for ${Math.ceil(leftMs / 1000)} s, or until SIGHUP`);
}

function dropOldest(map: Map<string, unknown>): void {
  const [oldest] = map.keys();
  if (map.size > GIT_SERVERS_MAX && oldest !== undefined) map.delete(oldest);
}
