/**
 * The requests to a checksum database through a proxy, as a union, and the keys of its files in the store.
 *
 * Follows https://go.dev/design/25530-sumdb (Checksum Database) and golang.org/x/mod/sumdb/server.go.
 */

import { BadRequest } from '../core/errors.ts';
import { KEY_LENGTH_MAX } from '../core/limits.ts';
import { unescapeModulePath } from '../core/module-path.ts';
import { quote } from '../core/quote.ts';
import { unescapeVersion } from '../core/version.ts';
import { parseTilePath, TILE_HEIGHT, type Tile, tilePath } from './tile.ts';
import { lookupPath, type ModuleVersion } from './verifier.ts';

export type SumdbAsk =
  | { readonly kind: 'supported' | 'head'; readonly database: string }
  | { readonly kind: 'lookup'; readonly database: string; readonly asked: ModuleVersion }
  | { readonly kind: 'tile'; readonly database: string; readonly tile: Tile };

/**
 * Reads a path that begins with `sumdb/`. It is percent-decoded, and capital letters are escaped by "!".
 *
 * @returns undefined if it does not have the form of such a path
 * @throws {BadRequest} it has the form, but a part is malformed
 */
export function parseSumdbPath(path: string): SumdbAsk | undefined {
  const [, database, rest = ''] = (path.length <= PATH_LENGTH_MAX && SUMDB_PATH.exec(path)) || [];
  if (database === undefined) return undefined;
  if (rest === 'supported') return { kind: 'supported', database };
  if (rest === 'latest') return { kind: 'head', database };
  if (rest.startsWith('lookup/')) return { kind: 'lookup', database, asked: parseAsked(rest.slice(7)) };
  const tile = parseTilePath(rest);
  if (tile.height !== TILE_HEIGHT)
    throw new BadRequest(`cannot give tile: not of height ${TILE_HEIGHT}: "${rest}"`);
  return { kind: 'tile', database, tile };
}

/** Whether requests can have this name in their path: a host, with or without a path, as in `host.example/sumdb`. */
export function isDatabaseName(name: string): boolean {
  return name.length <= NAME_LENGTH_MAX && DATABASE_NAME.test(name);
}

const NAME_LENGTH_MAX = 255;

/** Module path and version have KEY_LENGTH_MAX characters together. The database's name stands before them. */
const PATH_LENGTH_MAX = KEY_LENGTH_MAX + 2 * NAME_LENGTH_MAX;

/** No element begins with a dot: the name becomes a directory's name, and ".." would lead out of it. */
const NAME = '[A-Za-z0-9-][A-Za-z0-9.-]*(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*';
const DATABASE_NAME = new RegExp(`^${NAME}$`);
// Takes the shortest name: a module path follows the first "lookup", and may contain another "lookup".
const SUMDB_PATH = new RegExp(`^sumdb/(${NAME}?)/((?:supported|latest)$|(?:lookup|tile)/.*$)`);

/** The key of a record. The tree head that goes out with it is stored apart. */
export function recordKey(database: string, asked: ModuleVersion): string {
  return `sumdb/${database}/${lookupPath(asked)}`;
}

/** The key of a tile. It is stored at its widest, and narrower ones are cut from it. */
export function tileKey(database: string, tile: Tile): string {
  return `sumdb/${database}/${tilePath({ ...tile, width: 2 ** tile.height })}`;
}

/** The key of the newest tree head. */
export function treeHeadKey(database: string): string {
  return `sumdb/${database}/latest`;
}

function parseAsked(text: string): ModuleVersion {
  const at = text.indexOf('@');
  if (at < 0) throw new BadRequest(`cannot look up: no version: ${quote(text.slice(0, 200))}`);
  const module = unescapeModulePath(text.slice(0, at));
  const parsed = unescapeVersion(text.slice(at + 1));
  if (parsed.kind !== 'version') {
    throw new BadRequest(`cannot look up: not a canonical version: ${quote(text.slice(at + 1, at + 200))}`);
  }
  return { module, version: parsed.version };
}
