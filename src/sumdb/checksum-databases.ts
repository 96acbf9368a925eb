/**
 * All the checksum databases of this Astera: routes questions to the one they name, keeps private
 * paths from them, and judges what the module proxy wants to keep by the first of them.
 */

import type { Answer, StoredFile } from '../core/answer.ts';
import { type Checksums, h1Among, type Summed, type Verdict, type Word } from '../core/checksums.ts';
import { CheckFailed, Forbidden, isServeError, messageOf, NotFound } from '../core/errors.ts';
import { matchPrefixPatterns } from '../core/glob.ts';
import { SUMDB_WAIT_MS } from '../core/limits.ts';
import type { Resource } from '../core/resource.ts';
import { NotStored } from './proven-log.ts';
import { linesFor, parseRecord } from './record.ts';
import type { SumdbAsk } from './sumdb-path.ts';
import type { AskOptions, SumdbProxy } from './sumdb-proxy.ts';
import type { ModuleVersion } from './verifier.ts';

export type ChecksumDatabasesOptions = {
  /** By name, in the order they were set. */
  readonly databases: ReadonlyMap<string, SumdbProxy>;
  /** Patterns of modules no database is asked about: GONOSUMDB, whose default is GOPRIVATE. */
  readonly exemptPatterns: string;
};

export class ChecksumDatabases implements Checksums {
  readonly #options: ChecksumDatabasesOptions;

  constructor(options: ChecksumDatabasesOptions) {
    this.#options = options;
  }

  /** The fresh file under a key that begins with `sumdb/`, where it is in memory: the hot path. */
  peek(key: string): StoredFile | undefined {
    for (const [name, database] of this.#options.databases) {
      if (key.startsWith(name, 'sumdb/'.length)) return database.peek(key);
    }
    return undefined;
  }

  /**
   * @throws {NotFound} no such database here: the client goes on to the next proxy, or asks directly
   * @throws {Forbidden} the module is private here
   */
  async get(ask: SumdbAsk, how: AskOptions): Promise<Answer> {
    const database = this.#options.databases.get(ask.database);
    if (database === undefined) {
      throw new NotFound(`cannot proxy checksum database ${JSON.stringify(ask.database)}: not among --sumdb`);
    }
    if (ask.kind === 'lookup' && this.#isExempt(ask.asked)) {
      throw new Forbidden(
        `cannot look up ${JSON.stringify(ask.asked.module)}: it is private here (GOPRIVATE or GONOSUMDB of the server); set GONOSUMDB=${ask.asked.module} on the client too`,
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
      this.lookUp(resource).catch(() => {}); // judge() asks again, and says why.
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
   * The first database's word on a module version.
   *
   * @param how `isAnew`: asks it though its record is stored, and proves the answer in the newest tree
   */
  async lookUp(asked: ModuleVersion, how: { readonly isAnew?: boolean } = {}): Promise<Word> {
    const [database] = this.#options.databases.values();
    if (database === undefined) return { kind: 'silent', why: 'no checksum database is set: --sumdb is off' };
    if (this.#isExempt(asked)) return { kind: 'private' };
    try {
      const record = how.isAnew ? await database.recordAnew(asked) : await recordOf(database, asked);
      return { kind: 'record', lines: linesFor(record, asked) };
    } catch (error) {
      // A security event, or a database that can't be asked: either way nothing is confirmed by it.
      if (!isServeError(error)) throw error;
      const isDefinite = error.kind === 'not-found' || error.kind === 'gone';
      const kind = isDefinite && !(error instanceof NotStored) ? 'unknown' : 'silent';
      return { kind, why: messageOf(error) };
    }
  }

  /** When the background has what offline clients need of what was looked up. */
  async settled(): Promise<void> {
    await Promise.all(Array.from(this.#options.databases.values(), (database) => database.settled()));
  }

  /** The `go` command looks toolchains up whatever its settings (cmd/go/internal/modfetch/sumdb.go, useSumDB). */
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
