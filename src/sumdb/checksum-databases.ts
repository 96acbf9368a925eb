/**
 * All the checksum databases of this Astera: routes questions to the one they name, keeps private
 * paths from them, and judges what the module proxy wants to keep by the first of them.
 */

import type { Answer } from '../core/answer.ts';
import type { Checksums, Summed } from '../core/checksums.ts';
import { CheckFailed, Forbidden, isServeError, NotFound } from '../core/errors.ts';
import { matchPrefixPatterns } from '../core/glob.ts';
import { SUMDB_WAIT_MS } from '../core/limits.ts';
import type { Resource } from '../core/resource.ts';
import type { Trust } from '../core/store-port.ts';
import { linesFor, parseRecord } from './record.ts';
import type { SumdbAsk } from './sumdb-path.ts';
import type { Manners, SumdbProxy } from './sumdb-proxy.ts';

export type ChecksumDatabasesOptions = {
  /** By name, in the order they were set. */
  readonly databases: ReadonlyMap<string, SumdbProxy>;
  /** Patterns of modules no database is asked about: GOPRIVATE and GONOSUMDB. */
  readonly exemptPatterns: string;
};

export class ChecksumDatabases implements Checksums {
  readonly #options: ChecksumDatabasesOptions;

  constructor(options: ChecksumDatabasesOptions) {
    this.#options = options;
  }

  /**
   * @throws {NotFound} no such database here: the client goes on to the next proxy, or asks directly
   * @throws {Forbidden} the module is private here
   */
  async get(ask: SumdbAsk, how: Manners): Promise<Answer> {
    const database = this.#options.databases.get(ask.database);
    if (database === undefined) {
      throw new NotFound(`cannot proxy checksum database ${JSON.stringify(ask.database)}: not among --sumdb`);
    }
    if (ask.kind === 'lookup' && matchPrefixPatterns(this.#options.exemptPatterns, ask.asked.module)) {
      throw new Forbidden(
        `cannot look up ${JSON.stringify(ask.asked.module)}: it is private here (GOPRIVATE or GONOSUMDB of the server); set GONOSUMDB=${ask.asked.module} on the client too`,
      );
    }
    return database.get(ask, how);
  }

  covers(resource: Resource): resource is Summed {
    if (resource.kind !== 'zip' && resource.kind !== 'mod') return false;
    if (this.#options.databases.size === 0) return false;
    return !matchPrefixPatterns(this.#options.exemptPatterns, resource.module);
  }

  prefetch(resource: Summed): void {
    if (!matchPrefixPatterns(this.#options.exemptPatterns, resource.module)) {
      this.#lines(resource).catch(() => {}); // judge() asks again, and says why.
    }
  }

  async judge(resource: Summed, h1: string): Promise<Trust> {
    const lines = await this.#inTime(this.#lines(resource));
    if (lines === undefined) return 'unconfirmed';
    const { module, version, kind } = resource;
    const start = `${module} ${version}${kind === 'mod' ? '/go.mod' : ''} `;
    const line = lines.find((candidate) => candidate.startsWith(start));
    if (line === undefined) return 'unconfirmed';
    const expected = line.slice(start.length).trim();
    if (expected === h1) return 'confirmed';
    throw new CheckFailed(
      `cannot trust ${module}@${version} (${kind}): the upstream's is ${h1}, the checksum database's ${expected}`,
    );
  }

  /** The record's lines; undefined where no database can say. */
  async #lines({ module, version }: Summed): Promise<string[] | undefined> {
    const [database] = this.#options.databases.values();
    if (database === undefined) return undefined;
    try {
      const { file } = await database.lookup({ module, version });
      return file.body && linesFor(parseRecord(file.body).text, { module, version });
    } catch (error) {
      // A security event, or a database that can't be asked: either way nothing is confirmed by it.
      if (isServeError(error)) return undefined;
      throw error;
    }
  }

  #inTime<T>(answer: Promise<T>): Promise<T | undefined> {
    let timer: NodeJS.Timeout | undefined;
    const patience = new Promise<undefined>((resolve) => {
      timer = setTimeout(resolve, SUMDB_WAIT_MS, undefined);
    });
    return Promise.race([answer, patience]).finally(() => clearTimeout(timer));
  }
}
