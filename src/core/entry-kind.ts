/** The kinds of stored answers, by the form of their keys. The store writes the kind once, beside the key. */

/**
 * The kind of a stored answer. `info` is the `.info` of a canonical version, `query` that of anything else. `other` is
 * no file of a GOPROXY; Astera writes no such key.
 */
export type EntryKind = 'zip' | 'mod' | 'info' | 'query' | 'list' | 'latest' | 'sumdb' | 'vulndb' | 'other';

/** All kinds, in the order of the figures that people read. */
export const ENTRY_KINDS: readonly EntryKind[] = [
  'zip',
  'mod',
  'info',
  'query',
  'list',
  'latest',
  'sumdb',
  'vulndb',
  'other',
];

/** The kind of a key, by its form alone. `parseResource` says whether the key is valid. */
export function kindOfKey(key: string): EntryKind {
  if (/^sumdb\/./s.test(key)) return 'sumdb';
  if (/^vulndb\/./s.test(key)) return 'vulndb';
  if (key.endsWith('/@latest')) return 'latest';
  const [, file] = key.split('/@v/');
  if (file === 'list') return 'list';
  const [, version, ending] = /^(.*)\.(info|mod|zip)$/s.exec(file ?? '') ?? [];
  if (version === undefined) return 'other';
  if (ending === 'zip' || ending === 'mod') return ending;
  return VERSION.test(version) ? 'info' : 'query';
}

/** `v` and three numbers, with any text after each number. */
const VERSION = /^v[0-9].*?\.[0-9].*?\.[0-9]/s;
