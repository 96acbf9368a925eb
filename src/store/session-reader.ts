/** Reads of sessions. The words: `core/session-port.ts`. */

import { BadRequest } from '../core/errors.ts';
import { KEYS_PER_CALL_MAX, NAMESPACES_PER_CALL_MAX } from '../core/limits.ts';
import { type SessionReaderPort, type SessionRow, SHORT_ID_BYTES } from '../core/session-port.ts';
import type { ActionReader } from './action-reader.ts';
import { idBytes } from './cache-id.ts';
import type { DeltaBases } from './delta-bases.ts';
import type { Connection } from './schema.ts';
import { itemsOf, SET_ITEM_BYTES } from './session-set.ts';

const COLUMNS = `namespace, lower(hex(key)) AS key, lower(hex(project)) AS project, label, times,
  length(actions) / ${SET_ITEM_BYTES} AS actions, used_at_ms AS usedAtMs`;

export class SessionReader {
  readonly #actions: ActionReader;
  readonly #bases: DeltaBases;
  readonly #ofKey;
  readonly #ofProject;
  readonly #all;

  constructor(db: Connection, actions: ActionReader, bases: DeltaBases) {
    this.#actions = actions;
    this.#bases = bases;
    this.#ofKey = db.prepare<[string, Buffer], SessionRow & { set: Buffer }>(
      `SELECT actions AS "set", ${COLUMNS} FROM session WHERE namespace = ? AND key = ?`,
    );
    this.#ofProject = db.prepare<[string, Buffer], SessionRow & { set: Buffer }>(
      `SELECT actions AS "set", ${COLUMNS} FROM session WHERE namespace = ? AND project = ?
       ORDER BY used_at_ms DESC LIMIT 1`,
    );
    this.#all = db.prepare<[string, number], SessionRow>(
      `SELECT ${COLUMNS} FROM session WHERE namespace IN (SELECT value FROM json_each(?))
       ORDER BY used_at_ms DESC LIMIT ?`,
    );
  }

  getSession: SessionReaderPort['getSession'] = ({ namespaces, key, project, held, also, wantsBases }) => {
    checkNamespaces(namespaces);
    const { set, ...session } = this.#find(namespaces, idBytes(key), idBytes(project)) ?? { set: NOTHING };
    const left = new Set(shortIdsOf(held));
    const { own, apart } = partsOf(set);
    const actions = [];
    for (const id of new Set([...own, ...shortIdsOf(also ?? NOTHING)])) {
      if (left.has(id)) continue;
      const action = this.#actions.byShortId(namespaces, Buffer.from(id, 'latin1'));
      if (action === undefined) continue;
      const base = wantsBases ? this.#bases.find(namespaces, action, left) : undefined;
      actions.push(base === undefined ? action : { ...action, base });
    }
    return 'key' in session ? { session, actions, apart } : { actions };
  };

  getSessions: SessionReaderPort['getSessions'] = ({ namespaces }) => {
    checkNamespaces(namespaces);
    return { sessions: this.#all.all(JSON.stringify(namespaces), KEYS_PER_CALL_MAX) };
  };

  #find(namespaces: readonly string[], key: Buffer, project: Buffer) {
    for (const [statement, id] of [
      [this.#ofKey, key],
      [this.#ofProject, project],
    ] as const) {
      for (const namespace of namespaces) {
        const row = statement.get(namespace, id);
        if (row !== undefined) return row;
      }
    }
    return undefined;
  }
}

const NOTHING = Buffer.alloc(0);

/** `own`: as Latin-1. */
function partsOf(set: Buffer): { readonly own: readonly string[]; readonly apart: Uint8Array } {
  const { own = [], apart = [] } = Object.groupBy(itemsOf(set), ({ isApart }) => (isApart ? 'apart' : 'own'));
  const bytes = new Uint8Array(apart.length * SHORT_ID_BYTES);
  for (const [at, { id }] of apart.entries()) bytes.set(Buffer.from(id, 'latin1'), at * SHORT_ID_BYTES);
  return { own: own.map(({ id }) => id), apart: bytes };
}

function checkNamespaces(namespaces: readonly string[]): void {
  if (namespaces.length > NAMESPACES_PER_CALL_MAX)
    throw new BadRequest(`${namespaces.length} namespaces: over ${NAMESPACES_PER_CALL_MAX}`);
}

function* shortIdsOf(held: Uint8Array): Generator<string> {
  const bytes = Buffer.from(held.buffer, held.byteOffset, held.byteLength);
  for (let at = 0; at + SHORT_ID_BYTES <= bytes.length; at += SHORT_ID_BYTES)
    yield bytes.toString('latin1', at, at + SHORT_ID_BYTES);
}
