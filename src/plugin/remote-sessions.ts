/** What a server says of sessions and of all its actions. The wires: `core/session-wire.ts`, `core/action-filter.ts`. */

import type { IncomingMessage } from 'node:http';
import { FILTER_HEADER, FILTER_PATH, type FilterNews } from '../core/action-filter.ts';
import { NAMESPACE_HEADER, outputPath } from '../core/build-cache-wire.ts';
import { collect } from '../core/collect.ts';
import type { SessionName } from '../core/session-port.ts';
import {
  APART_HEADER,
  DELTA_FORM,
  DELTA_HEADER,
  LABEL_HEADER,
  PACKED_FORM,
  PACKED_HEADER,
  PREFETCH_HEADER,
  PROJECT_HEADER,
  sessionPath,
  shortIdsOf,
} from '../core/session-wire.ts';
import { FILTER_BYTES_MAX } from './limits.ts';
import { hasZstd } from './packed-output.ts';
import { type RemoteServer, refusal } from './remote-server.ts';

export type SessionWish = {
  /** IDs of actions that are here. */
  readonly held: Iterable<string>;
  readonly bytesMax: number;
  /** Whether it takes deltas where the server is far. */
  readonly takesDeltas: boolean;
};

/** What a session used. */
export type SessionUse = {
  /** IDs of actions in their order. */
  readonly used: readonly string[];
  /** Those of them whose outputs no machine takes from another one, as far as that was seen. */
  readonly apart: ReadonlySet<string>;
};

export class RemoteSessions {
  readonly #server: RemoteServer;

  constructor(server: RemoteServer) {
    this.#server = server;
  }

  /** Tells the server which actions a session used. Never rejects: it is a hint for others. */
  async putSession({ key, project, label }: SessionName, { used, apart }: SessionUse): Promise<void> {
    if (!this.#server.takesPuts) return;
    try {
      const headers = {
        ...this.#server.namespaceHeaders(),
        [PROJECT_HEADER]: project,
        [LABEL_HEADER]: label,
        ...(apart.size > 0 && { [APART_HEADER]: String(apart.size) }),
      };
      const body = shortIdsOf([...used.filter((id) => !apart.has(id)), ...apart]);
      const response = await this.#server.send('PUT', sessionPath(key), headers, { size: body.length, body });
      response.resume();
    } catch {
      // `go` has ended: nobody wants to hear of it any more.
    }
  }

  /**
   * Asks for all that such a session asked for. Never rejects.
   *
   * @returns undefined: the server knows no such session, or none at all
   */
  async openSession(
    { key, project }: SessionName,
    { held, bytesMax, takesDeltas }: SessionWish,
  ): Promise<IncomingMessage | undefined> {
    if (!this.#server.isUp()) return undefined;
    try {
      const headers = {
        ...this.#server.namespaceHeaders(),
        [PROJECT_HEADER]: project,
        [PREFETCH_HEADER]: String(bytesMax),
        [APART_HEADER]: '1',
        ...((await this.#isFar()) && {
          ...(hasZstd()
            ? { 'accept-encoding': 'zstd', [PACKED_HEADER]: PACKED_FORM }
            : { 'accept-encoding': 'br' }),
          ...(takesDeltas && { [DELTA_HEADER]: DELTA_FORM }),
        }),
      };
      const body = shortIdsOf(held);
      const response = await this.#server.send('POST', sessionPath(key), headers, {
        size: body.length,
        body,
        isStream: true,
      });
      if (response.statusCode === 200) return response;
      response.resume();
      // An older server has no sessions.
      if (response.statusCode !== 404 && response.statusCode !== 405)
        throw new Error(refusal(response.statusCode));
      return undefined;
    } catch (error) {
      this.#server.failed(error);
      return undefined;
    }
  }

  /** What is new in the filter of a namespace. Never rejects; undefined: there is none to be had. */
  async getFilter(
    namespace: string,
    held: Pick<FilterNews, 'epoch' | 'serial'> | undefined,
  ): Promise<Buffer | undefined> {
    if (!this.#server.isUp()) return undefined;
    try {
      const response = await this.#server.send('GET', FILTER_PATH, {
        [NAMESPACE_HEADER]: namespace,
        ...(held !== undefined && { [FILTER_HEADER]: `${held.epoch}.${held.serial}` }),
      });
      // An older server has none.
      if (response.statusCode !== 200) {
        response.resume();
        return undefined;
      }
      const news = await collect(response, FILTER_BYTES_MAX);
      if (news === undefined) throw new Error('a filter without end');
      return news;
    } catch (error) {
      this.#server.failed(error);
      return undefined;
    }
  }

  /** Asks the server for something short where only answers can tell: PLUGIN_PROBES_MAX times at most. */
  async #isFar(): Promise<boolean> {
    while (!this.#server.line.isKnown) await this.#server.status('HEAD', outputPath(NO_OUTPUT));
    return this.#server.line.isFar;
  }
}

/** No output has this SHA-256. */
const NO_OUTPUT = '0'.repeat(64);
