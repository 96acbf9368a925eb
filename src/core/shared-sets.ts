/**
 * Sets of actions that servers share, as the build cache's sessions see them. `tier/` has them out of a bucket's packs; the words:
 * `core/session-port.ts`.
 */

import type { SessionName } from './session-port.ts';
import type { IndexRow } from './session-wire.ts';

/** An action of the main namespace on its way into the store. */
export type ComingRow = IndexRow & {
  /** Settles when it is stored with its output (true), or will not be. Never rejects. */
  readonly landed: Promise<boolean>;
};

export type SharedWish = {
  /** Whether an action is there already. */
  readonly isHere: (actionId: string) => boolean;
  /** Bytes of outputs to bring at most. */
  readonly bytesMax: number;
};

export type SharedSet = {
  /** Of the command, or its project's: where the set was found. */
  readonly key: string;
  /** In the order in which a command asks for them. */
  readonly rows: readonly IndexRow[];
  /** Short IDs, in hex, of actions whose outputs no machine takes from another one. */
  readonly apart: readonly string[];
  /** Begins to bring what is not there. @returns what comes, in the order in which it comes */
  bring(wish: SharedWish): readonly ComingRow[];
};

/** What came of a set: actions, and bytes of their outputs. `lost`: actions that could not be brought. */
export type Brought = { readonly brought: number; readonly lost: number; readonly bytes: number };

export type SharedSets = {
  /** The set of a command, or the last one of its project. Never rejects. Undefined: there is none, or it did not come in time. */
  find(name: Pick<SessionName, 'key' | 'project'>): Promise<SharedSet | undefined>;
  /** The set of this key, however long it takes. Rejects where it can't be asked for. */
  read(key: string): Promise<SharedSet | undefined>;
};
