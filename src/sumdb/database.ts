/**
 * The list of checksum databases: names, keys and hosts, as GOSUMDB writes them.
 *
 * Follows cmd/go/internal/modfetch/sumdb.go (dbDial) and key.go.
 */

import { BadRequest } from '../core/errors.ts';
import { quote } from '../core/quote.ts';
import { type NoteVerifier, parseVerifierKey } from './note.ts';
import { isDatabaseName } from './sumdb-path.ts';

export type Database = {
  /** The name in the paths of requests: `sum.golang.org`. */
  readonly name: string;
  readonly key: NoteVerifier;
  /** The database's own host, without a trailing slash. It is asked if the upstream list does not proxy it. */
  readonly url: string;
};

/** The keys that the `go` command itself knows (cmd/go/internal/modfetch/key.go). */
const knownKeys: Readonly<Record<string, string>> = {
  'sum.golang.org': 'sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8',
};

/** Other hosts of a database, with the name in its key. */
const aliases: Readonly<Record<string, string>> = { 'sum.golang.google.cn': 'sum.golang.org' };

/**
 * Reads a comma-separated list. Each member is a name that the `go` command knows, or a verifier key. A URL may follow
 * it. If one member is `off`, the list is empty.
 *
 * @throws {BadRequest} an unknown name without a key, a malformed key or URL, a name twice
 */
export function parseDatabases(text: string): Database[] {
  const members = text.split(',').map((member) => member.trim());
  if (members.includes('off')) return [];
  const databases = members.filter((member) => member !== '').map(parseDatabase);
  const names = new Set(databases.map(({ name }) => name));
  if (names.size < databases.length)
    throw new BadRequest(`cannot use checksum databases: a name is given twice: ${text}`);
  return databases;
}

function parseDatabase(member: string): Database {
  const [first = '', url, ...rest] = member.split(/\s+/);
  if (rest.length > 0) throw new BadRequest(`cannot use checksum database: ${quote(member)}`);
  const name = aliases[first] ?? first;
  const known = Object.hasOwn(knownKeys, name) ? knownKeys[name] : undefined;
  if (known === undefined && !first.includes('+')) {
    throw new BadRequest(
      `cannot use checksum database ${quote(first)}: its key is not known here; give it as name+hash+key`,
    );
  }
  const key = parseVerifierKey(known ?? first);
  if (!isDatabaseName(key.name)) {
    throw new BadRequest(
      `cannot use checksum database ${quote(key.name)}: its name is not of the form host or host/path`,
    );
  }
  const host = url ?? `https://${first === name ? key.name : first}`;
  if (!/^https?:\/\/[^\s?#]+$/.test(host)) {
    throw new BadRequest(`cannot use checksum database ${quote(key.name)}: not a URL: ${quote(host)}`);
  }
  return { name: key.name, key, url: host.replace(/\/+$/, '') };
}
