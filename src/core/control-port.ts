/**
 * The calls from a command to the process that owns the store. If a server runs, `astera import`, `warm`, `forget` and
 * `verify` make these calls over its control socket.
 *
 * They are derived from the ports of `store-port.ts`, so that a command works the same if it owns the store itself.
 */

import type { Origin } from './answer.ts';
import type { Word } from './checksums.ts';
import type { Brought } from './shared-sets.ts';
import type { ReaderPort, Remote, WriterPort } from './store-port.ts';

export type ControlPort = Pick<ReaderPort, 'getStored' | 'getKeys' | 'getPartialKeys'> &
  Pick<
    WriterPort,
    | 'putEntry'
    | 'openBlob'
    | 'putChunk'
    | 'sealBlob'
    | 'dropBlob'
    | 'forget'
    | 'dropUnused'
    | 'dropOutput'
    | 'dropAction'
    | 'forgetActions'
  > & {
    /**
     * Fetches the file `key` if it is not stored, and waits until all of it is here. Fails as a client's request would.
     */
    fetch(request: { key: string }): Promise<{ origin: Origin }>;
    /** Asks the checksum database about the module version of the file `key`. */
    lookUp(request: { key: string }): Promise<Word>;
    /** Has all uploaded now that waits for the bucket; `isAll`: and all that is stored. Fails with bad-request without a bucket. */
    pushUploads(request: { isAll: boolean }): Promise<{ queued: number }>;
    /** Brings a set of the build cache, by its key, out of the bucket's packs. Fails with bad-request without a bucket. */
    bringSet(request: { key: string }): Promise<Brought>;
    /** Forgets a checksum database, in memory too: its stored files and its verdicts. */
    forgetSumdb(request: { database: string }): Promise<ForgottenSumdb>;
    /** Brings the vulnerability database up to date, with its reports about stored modules. Fails as a fetch would. */
    refreshVulns(request: Record<never, never>): Promise<Record<never, never>>;
  } & SumdbLearner;

/**
 * The counts of a `forgetSumdb`: `files` of the database were dropped, `verdicts` are files that are unchecked again.
 */
export type ForgottenSumdb = { readonly files: number; readonly verdicts: number };

/** The calls by which an import hands over checksum files. Only proven files are stored. */
export type SumdbLearner = {
  sumdbHead(request: { database: string }): Promise<SumdbHead>;
  /** Takes one lookup or tile. Fails with check-failed if it is not proven. */
  sumdbLearn(request: SumdbLesson): Promise<SumdbHead>;
};

/**
 * Whether --sumdb has the database, does not have it, or is off; and the number of records in its newest proven tree.
 */
export type SumdbHead = { readonly state: 'proxied' | 'unknown' | 'off'; readonly size: number };

/**
 * One checksum file by its path below a proxy's root, `sumdb/…`. Beside it are up to SUMDB_GIVEN_TILES_MAX tiles that
 * may prove it, by their paths below the database's root.
 */
export type SumdbLesson = {
  readonly path: string;
  readonly bytes: Uint8Array;
  readonly tiles: readonly { readonly path: string; readonly bytes: Uint8Array }[];
};

export type ControlCall = keyof ControlPort;

/** Calls that only a running server can answer. */
export type ServerCall = 'fetch' | 'pushUploads' | 'bringSet' | 'lookUp' | 'forgetSumdb' | 'refreshVulns';

/**
 * A store to write to: this process's own, or that of a running server. `putEntry` and `sealBlob` fail with `busy`
 * while the server fetches the same key.
 */
export type WritableStore = Remote<Omit<ControlPort, ServerCall | keyof SumdbLearner>> & {
  /** Stores a file by its path. Present only if this process owns the store. */
  readonly putFile?: Remote<WriterPort>['putFile'];
  /** A new blob id. */
  nextBlob(): number;
  /** Waits while the writer is behind. */
  waitForRoom(): Promise<void>;
};
