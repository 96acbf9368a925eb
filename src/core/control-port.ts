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
    'putEntry' | 'openBlob' | 'putChunk' | 'sealBlob' | 'dropBlob' | 'forget' | 'dropUnused'
  > & {
    /** Fetches what is not stored yet, and waits until all of it is here. Fails as a client's request would. */
    fetch(request: { key: string }): Promise<{ origin: Origin }>;
    /** What the checksum database says now of the module version whose file `key` names. */
    lookUp(request: { key: string }): Promise<Word>;
  };

export type ControlCall = keyof ControlPort;

/**
 * A store to write to, be it this process's own or a running server's. `putEntry` and `sealBlob` fail
 * with `busy` where the server is just fetching that key itself.
 */
export type WritableStore = Remote<Omit<ControlPort, 'fetch' | 'lookUp'>> & {
  /** A blob id nobody has had. */
  nextBlob(): number;
  /** Waits while the writer is behind. */
  room(): Promise<void>;
};
