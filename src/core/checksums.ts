/**
 * What the module proxy asks of the checksum database before it keeps something, as a port:
 * `sumdb/` answers it, and `serve/` joins the two.
 */

import { isServeError } from './errors.ts';
import { parseResource, type Resource } from './resource.ts';

/** A module version's zip or go.mod: what go.sum has a line for. */
export type Summed = Extract<Resource, { readonly version: unknown }>;

/** The zip or go.mod under a stored key; undefined for any other file, and for a key that none of ours could be. */
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
  /** Its go.sum lines, proven to be in the tree. */
  | { readonly kind: 'record'; readonly lines: readonly string[] }
  /** It is private here: nobody is asked. */
  | { readonly kind: 'private' }
  /** 404 or 410: it has no such version. */
  | { readonly kind: 'unknown'; readonly why: string }
  /** It could not be asked, or its answer proved nothing. */
  | { readonly kind: 'silent'; readonly why: string };

export type Checksums = {
  /** Whether the database is asked about this at all: not for what is private, nor for `.info`. */
  covers(resource: Resource): resource is Summed;
  /** Starts asking, so that the answer is there when the bytes are. */
  prefetch(resource: Summed): void;
  /**
   * Holds a file's own h1 against the database.
   *
   * @returns 'unconfirmed' where the database can't be asked in time
   * @throws {CheckFailed} it has another h1; the message names both
   */
  judge(resource: Summed, h1: string): Promise<Verdict>;
  /**
   * Whether the answer to a lookup that is under way names this h1. It is not proven yet, so whoever
   * stands before the database may have made it up: no reason to keep a file, nor to refuse one.
   * `false` where it differs, none comes, or none is under way.
   */
  isClaimed(resource: Summed, h1: string): Promise<boolean>;
};

/** `--verify`: see INTERFACE, and `modules/checked-ingest.ts` for what each does. */
export type VerifyMode = 'off' | 'store' | 'strict';

/** The h1 that a record's lines have for a file; undefined where they have none. */
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
