/**
 * The port by which the module proxy asks the checksum database before it keeps a file. `sumdb/` implements it, and
 * `serve/` joins the two.
 */

import { isServeError } from './errors.ts';
import { parseResource, type Resource } from './resource.ts';

/** A module version's zip or go.mod: the files for which go.sum has lines. */
export type Summed = Extract<Resource, { readonly version: unknown }>;

/** The zip or go.mod of a key; undefined for any other file and for an invalid key. */
export function summedOf(key: string): Summed | undefined {
  try {
    const resource = parseResource(key);
    return resource !== undefined && 'version' in resource ? resource : undefined;
  } catch (error) {
    if (isServeError(error)) return undefined;
    throw error;
  }
}

/** The database's verdict on a file's h1: `unconfirmed` if it could not be asked, `unknown` if it has no such file. */
export type Verdict = 'confirmed' | 'unconfirmed' | 'unknown';

/** The database's verdict on a module version. */
export type Word =
  /** Its go.sum lines. They are proven to be in the tree. */
  | { readonly kind: 'record'; readonly lines: readonly string[] }
  /** The module is private here, so nobody is asked. */
  | { readonly kind: 'private' }
  /** The database answered 404 or 410: it has no such version. */
  | { readonly kind: 'unknown'; readonly why: string }
  /** The database could not be asked, or its answer proved nothing. */
  | { readonly kind: 'silent'; readonly why: string };

export type Checksums = {
  /** Whether the database is asked about this file: not about private modules, and not about `.info` and lists. */
  covers(resource: Resource): resource is Summed;
  /** Asks early, so that the answer is here when the bytes are. */
  prefetch(resource: Summed): void;
  /**
   * Compares a file's h1 with the database's.
   *
   * @returns 'unconfirmed' if the database can't be asked in time
   * @throws {CheckFailed} the database has another h1; the message names both
   */
  judge(resource: Summed, h1: string): Promise<Verdict>;
  /**
   * Whether the answer to a lookup that is under way names this h1. The answer is not proven yet and may be forged on
   * the way, so it is no reason to keep or to refuse a file. `false` if it names another h1, if no answer comes, or if
   * no lookup is under way.
   */
  isClaimed(resource: Summed, h1: string): Promise<boolean>;
};

/** The values of `--verify`. See INTERFACE, and `modules/checked-ingest.ts`. */
export type VerifyMode = 'off' | 'store' | 'strict';

/** The h1 of a file in a record's lines; undefined if they have none. */
export function h1Among(
  lines: readonly string[],
  { module, version, kind }: Pick<Summed, 'module' | 'version' | 'kind'>,
): string | undefined {
  const start = `${module} ${version}${kind === 'mod' ? '/go.mod' : ''} `;
  return lines
    .find((line) => line.startsWith(start))
    ?.slice(start.length)
    .trim();
}
