/**
 * Sessions of the build cache: the calls to readers and to the writer.
 *
 * A *session* is what one `go` command asked the build cache for. Its *key* says which command that was, as far as a
 * client can see; sessions of one key come to one *set* of actions. A set is a hint about what will be asked for
 * together. It never answers a get: whether an action is there, and which output it has, the store's actions say.
 *
 * A set names an action by its *short ID*, the first SHORT_ID_BYTES of its ID. Two actions with the same one would only
 * be mixed up in the hint.
 */

import type { ActionRow, DeltaBase } from './build-cache-port.ts';

/** Bytes of an action's ID that name it in a set: among a million actions, two share them once in 30 million stores. */
export const SHORT_ID_BYTES = 8;

/** IDs are 64 lower-case hex digits. */
export type SessionName = {
  /** Of the command: equal keys ask for the same actions, as long as no source changes. */
  readonly key: string;
  /** Of the module and the target: where a key is new, the last session of its project is the best guess. */
  readonly project: string;
  /** For people, such as `go build linux/amd64 go1.26.8`. */
  readonly label: string;
};

export type SessionRow = SessionName & {
  readonly namespace: string;
  /** How many sessions were put under the key. */
  readonly times: number;
  /** Actions in its set. */
  readonly actions: number;
  readonly usedAtMs: number;
};

/** An action of a set that is stored. */
export type SessionAction = ActionRow & {
  readonly actionId: string;
  /** An older version of its output, which the client has. */
  readonly base?: DeltaBase;
};

export type SessionReaderPort = {
  /**
   * The set of a key, or of the last session of its project, out of the first namespace that has one; with those of its
   * actions that are stored, likely ones first. Up to NAMESPACES_PER_CALL_MAX namespaces.
   */
  getSession(request: {
    namespaces: readonly string[];
    key: string;
    project: string;
    /** Short IDs of actions to leave out, last used ones first. */
    held: Uint8Array;
    /** Short IDs that count as the last ones of the set, even if there is none: those that other servers' sets have. */
    also?: Uint8Array;
    /** Whether to look among these for older versions of the others' outputs. Only actions of `namespaces` count. */
    wantsBases: boolean;
  }): {
    session?: SessionRow;
    actions: SessionAction[];
    /** Short IDs of the set's actions whose outputs no machine takes from another one. */
    apart?: Uint8Array;
  };
  /** Up to KEYS_PER_CALL_MAX sessions of these namespaces, last used first. */
  getSessions(request: { namespaces: readonly string[] }): { sessions: SessionRow[] };
};

export type SessionWriterPort = {
  /**
   * Notes one session, and queues its set for the bucket: its actions come first in the set, in their order. Actions of the set that SESSION_MISSED_MAX
   * sessions in a row did without leave it. Past SESSIONS_MAX and SESSIONS_BYTES_MAX the least used sets go.
   */
  putSession(
    request: SessionName & {
      namespace: string;
      /** Short IDs in the order in which they were asked for: at most SESSION_ACTIONS_MAX. */
      actions: Uint8Array;
      /** How many of these, the last ones, have outputs that no machine takes from another one. */
      apart?: number;
      /** It is another server's set, so it is not queued for the bucket. */
      isShared?: true;
      nowMs: number;
    },
  ): Record<never, never>;
};
