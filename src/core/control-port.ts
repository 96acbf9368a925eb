/**
 * What a command asks of the process that has the store: what `astera import`, `warm`, `forget` and `verify`
 * do beside a running server goes through these calls, over its control socket.
 *
 * Derived from the ports of `store-port.ts`, so that a command works the same on a store of its own.
 */

import type { Origin } from './answer.ts';
import type { Word } from './checksums.ts';
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
    /** Fetches what is not stored yet, and waits until all of it is here. Fails as a client's request would. */
    fetch(request: { key: string }): Promise<{ origin: Origin }>;
    /** Asks the checksum database about the module version of the file `key`. */
    lookUp(request: { key: string }): Promise<Word>;
    /** Forgets a checksum database, in memory too: what is stored of it, and its verdicts. */
    forgetSumdb(request: { database: string }): Promise<ForgottenSumdb>;
  } & SumdbLearner;

/** A checksum database that was forgotten: its files that were dropped, and the files that are unchecked again. */
export type ForgottenSumdb = { readonly files: number; readonly verdicts: number };

/** Checksum files that an import hands over. Only proven ones are stored. */
export type SumdbLearner = {
  sumdbHead(request: { database: string }): Promise<SumdbHead>;
  /** Takes one lookup or tile. Fails with check-failed where it is not proven. */
  sumdbLearn(request: SumdbLesson): Promise<SumdbHead>;
};

/** Whether the database is one of --sumdb, or all are off, and how many records its newest proven head has. */
export type SumdbHead = { readonly state: 'proxied' | 'unknown' | 'off'; readonly size: number };

/** One file below a proxy's root, `sumdb/…`, and up to SUMDB_GIVEN_TILES_MAX tiles that may prove it, by their paths below the database's. */
export type SumdbLesson = {
  readonly path: string;
  readonly bytes: Uint8Array;
  readonly tiles: readonly { readonly path: string; readonly bytes: Uint8Array }[];
};

export type ControlCall = keyof ControlPort;

/** Calls that only a running server can answer. */
export type ServerCall = 'fetch' | 'lookUp' | 'forgetSumdb';

/**
 * A store to write to, be it this process's own or a running server's. `putEntry` and `sealBlob` fail
 * with `busy` where the server is just fetching that key itself.
 */
export type WritableStore = Remote<Omit<ControlPort, ServerCall | keyof SumdbLearner>> & {
  /** Takes a file by its name. Present only if this process owns the store. */
  readonly putFile?: Remote<WriterPort>['putFile'];
  /** A blob id nobody has had. */
  nextBlob(): number;
  /** Waits while the writer is behind. */
  waitForRoom(): Promise<void>;
};
