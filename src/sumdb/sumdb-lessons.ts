/**
 * Takes the checksum databases' files from an import. Each lookup and tile goes to the log of its database, which
 * keeps the proven ones.
 */

import type { SumdbHead, SumdbLearner, SumdbLesson } from '../core/control-port.ts';
import { BadRequest, Forbidden } from '../core/errors.ts';
import { matchPrefixPatterns } from '../core/glob.ts';
import { quote } from '../core/quote.ts';
import type { Remote } from '../core/store-port.ts';
import type { ProvenLog } from './proven-log.ts';
import { parseSumdbPath } from './sumdb-path.ts';

export type SumdbLessonsOptions = {
  /** The logs by the names of their databases. */
  readonly logs: ReadonlyMap<string, ProvenLog>;
  /** Patterns of modules whose lookups are refused: GONOSUMDB, whose default is GOPRIVATE. */
  readonly exemptPatterns: string;
};

export class SumdbLessons implements Remote<SumdbLearner> {
  readonly #options: SumdbLessonsOptions;

  constructor(options: SumdbLessonsOptions) {
    this.#options = options;
  }

  /** The state of a database here, and the size of its newest stored tree. */
  sumdbHead = async ({ database }: { database: string }): Promise<SumdbHead> => {
    const { logs } = this.#options;
    const log = logs.get(database);
    if (log !== undefined) return { state: 'proxied', size: await log.size() };
    return { state: logs.size === 0 ? 'off' : 'unknown', size: 0 };
  };

  /**
   * Verifies one file and keeps it.
   *
   * @throws {BadRequest} `path` is not a file of a database that is proxied here
   * @throws {Forbidden} the module is private here
   * @throws all errors of {@link ProvenLog.learn}
   */
  sumdbLearn = async ({ path, bytes, tiles }: SumdbLesson): Promise<SumdbHead> => {
    const ask = parseSumdbPath(path);
    const log = ask && this.#options.logs.get(ask.database);
    if (ask === undefined || log === undefined) {
      throw new BadRequest(`cannot learn ${quote(path)}: it is of no checksum database in --sumdb`);
    }
    if (ask.kind === 'lookup' && matchPrefixPatterns(this.#options.exemptPatterns, ask.asked.module)) {
      throw new Forbidden(`cannot learn ${quote(ask.asked.module)}: it is private here`);
    }
    await log.learn(ask, bytes, new Map(tiles.map((tile) => [tile.path, tile.bytes])));
    return { state: 'proxied', size: await log.size() };
  };
}
