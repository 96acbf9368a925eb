/**
 * All checksum databases of this Astera. It sends each request to the database that it names, and keeps private paths
 * from them. The first database judges the files that the module proxy wants to keep.
 */

import type { Answer, StoredFile } from '../core/answer.ts';
import { type Checksums, h1Among, type Summed, type Verdict, type Word } from '../core/checksums.ts';
import { CheckFailed, Forbidden, isServeError, messageOf, NotFound } from '../core/errors.ts';
import { matchPrefixPatterns } from '../core/glob.ts';
import { quote } from '../core/quote.ts';
import type { Resource } from '../core/resource.ts';
import { SUMDB_WAIT_MS } from './limits.ts';
import { NotStored } from './proven-log.ts';
import { linesFor, parseRecord } from './record.ts';
import type { SumdbAsk } from './sumdb-path.ts';
import type { AskOptions, SumdbProxy } from './sumdb-proxy.ts';
import type { ModuleVersion } from './verifier.ts';

export type ChecksumDatabasesOptions = {
  /** The databases by name, in the order of the setting. */
  readonly databases: ReadonlyMap<string, SumdbProxy>;
  /** Patterns of modules that no database hears of: GONOSUMDB, whose default is GOPRIVATE. */
  readonly exemptPatterns: string;
};

export class ChecksumDatabases implements Checksums {
  readonly #options: ChecksumDatabasesOptions;

  constructor(options: ChecksumDatabasesOptions) {
    this.#options = options;
  }

  /** The file under a key that begins with `sumdb/`, if it is in memory and fresh. This is the hot path. */
  peek(key: string): StoredFile | undefined {
    for (const [name, database] of this.#options.databases) {
      if (key.startsWith(name, 'sumdb/'.length)) return database.peek(key);
    }
    return undefined;
  }

  /**
   * The answer to one request.
   *
   * @throws {NotFound} there is no such database here; the client goes on to its next proxy, or to the database
   * @throws {Forbidden} the module is private here
   */
  async get(ask: SumdbAsk, how: AskOptions): Promise<Answer> {
    const database = this.#options.databases.get(ask.database);
    if (database === undefined) {
      throw new NotFound(`cannot proxy checksum database ${quote(ask.database)}: not among --sumdb`);
    }
    if (ask.kind === 'lookup' && this.#isExempt(ask.asked)) {
      throw new Forbidden(
        `cannot look up ${quote(ask.asked.module)}: it is private here (GOPRIVATE or GONOSUMDB of the server); set GONOSUMDB=${ask.asked.module} on the client too`,
      );
    }
    return database.get(ask, how);
  }

  covers(resource: Resource): resource is Summed {
    if (resource.kind !== 'zip' && resource.kind !== 'mod') return false;
    if (this.#options.databases.size === 0) return false;
    return !this.#isExempt(resource);
  }

  prefetch(resource: Summed): void {
    if (!this.#isExempt(resource)) {
      this.lookUp(resource).catch(() => {}); // `judge` asks again and gives the reason.
    }
  }

  async judge(resource: Summed, h1: string): Promise<Verdict> {
    const word = await this.#inTime(this.lookUp(resource));
    if (word?.kind === 'unknown') return 'unknown';
    if (word?.kind !== 'record') return 'unconfirmed';
    const expected = h1Among(word.lines, resource);
    if (expected === undefined) return 'unknown';
    if (expected === h1) return 'confirmed';
    const { module, version, kind } = resource;
    throw new CheckFailed(
      `cannot trust ${module}@${version} (${kind}): its h1 is ${h1}, the checksum database's ${expected}`,
    );
  }

  async isClaimed(resource: Summed, h1: string): Promise<boolean> {
    const [database] = this.#options.databases.values();
    return database !== undefined && h1Among(await database.claimed(resource), resource) === h1;
  }

  /**
   * The first database's answer about a module version.
   *
   * @param how `isAnew`: asks the database even if the record is stored, and proves the answer in the newest tree
   */
  async lookUp(asked: ModuleVersion, how: { readonly isAnew?: boolean } = {}): Promise<Word> {
    const [database] = this.#options.databases.values();
    if (database === undefined) return { kind: 'silent', why: 'no checksum database is set: --sumdb is off' };
    if (this.#isExempt(asked)) return { kind: 'private' };
    try {
      const record = how.isAnew ? await database.recordAnew(asked) : await recordOf(database, asked);
      return { kind: 'record', lines: linesFor(record, asked) };
    } catch (error) {
      // An attack was found, or the database can't be asked. In both cases nothing is confirmed.
      if (!isServeError(error)) throw error;
      const isDefinite = error.kind === 'not-found' || error.kind === 'gone';
      const kind = isDefinite && !(error instanceof NotStored) ? 'unknown' : 'silent';
      return { kind, why: messageOf(error) };
    }
  }

  /** Resolves when the background has fetched the proofs that offline clients will need. */
  async settled(): Promise<void> {
    await Promise.all(Array.from(this.#options.databases.values(), (database) => database.settled()));
  }

  /**
   * Whether no database may hear of a module. Toolchains are always looked up, as `go` does it
   * (cmd/go/internal/modfetch/sumdb.go, useSumDB).
   */
  #isExempt({ module }: Pick<ModuleVersion, 'module'>): boolean {
    return module !== 'golang.org/toolchain' && matchPrefixPatterns(this.#options.exemptPatterns, module);
  }

  #inTime<T>(answer: Promise<T>): Promise<T | undefined> {
    let timer: NodeJS.Timeout | undefined;
    const patience = new Promise<undefined>((resolve) => {
      timer = setTimeout(resolve, SUMDB_WAIT_MS, undefined);
    });
    return Promise.race([answer, patience]).finally(() => clearTimeout(timer));
  }
}

async function recordOf(database: SumdbProxy, asked: ModuleVersion): Promise<Uint8Array> {
  const { file } = await database.lookup(asked);
  return parseRecord(file.body ?? new Uint8Array(0)).text;
}
