/**
 * Bounds the `git` processes that ask servers: over all servers, and at each. So one server that hangs leaves places for the
 * others.
 *
 * A request that waits at a server fails with the first one that found it silent. Else forty requests would wait for as many
 * time-outs, eight by eight.
 */

import { Gate } from '../core/gate.ts';
import { GIT_OUTSIDE_MAX, GIT_QUEUE_MAX, GIT_SERVER_MAX } from './limits.ts';

export type ServerGatesOptions = { readonly outsideMax?: number; readonly serverMax?: number };

type Server = { readonly gate: Gate; users: number };

export class ServerGates {
  readonly #all: Gate;
  readonly #serverMax: number;
  /** Those with requests now. */
  readonly #servers = new Map<string, Server>();

  constructor({ outsideMax = GIT_OUTSIDE_MAX, serverMax = GIT_SERVER_MAX }: ServerGatesOptions = {}) {
    this.#all = new Gate({ placesMax: outsideMax, queueMax: GIT_QUEUE_MAX, full: FULL });
    this.#serverMax = serverMax;
  }

  /**
   * Takes a place at a server. The result gives it back: with an error, all that wait for this server fail with it.
   *
   * @throws {Busy} the queue is full
   * @throws the signal's reason, if it is aborted during the wait
   */
  async enter(name: string, signal: AbortSignal): Promise<(silent?: () => Error) => void> {
    const server = this.#servers.get(name) ?? {
      gate: new Gate({ placesMax: this.#serverMax, queueMax: GIT_QUEUE_MAX, full: FULL }),
      users: 0,
    };
    this.#servers.set(name, server);
    server.users++;
    const leave = () => {
      if (--server.users === 0) this.#servers.delete(name);
    };
    try {
      await server.gate.enter(signal);
    } catch (error) {
      leave();
      throw error;
    }
    try {
      await this.#all.enter(signal);
    } catch (error) {
      server.gate.leave();
      leave();
      throw error;
    }
    return (silent) => {
      if (silent !== undefined) server.gate.refuseWaiting(silent);
      this.#all.leave();
      server.gate.leave();
      leave();
    };
  }
}

const FULL = 'cannot ask Git: too many requests wait for it';
