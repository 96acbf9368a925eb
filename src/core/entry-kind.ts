/** The kinds of stored answers, by the form of their keys. The store writes a key's kind beside it, once. */

/**
 * `info` is of a canonical version, `query` of anything else. No key of ours is `other`: something wrote it that is
 * no file of a GOPROXY.
 */
export type EntryKind = 'zip' | 'mod' | 'info' | 'query' | 'list' | 'latest' | 'sumdb' | 'other';

/** In the order in which people read their figures. */
export const ENTRY_KINDS: readonly EntryKind[] = [
  'zip',
  'mod',
  'info',
  'query',
  'list',
  'latest',
  'sumdb',
  'other',
];

/** The kind of a key. Looks at its form alone: `parseResource` says whether it is a right one. */
export function kindOfKey(key: string): EntryKind {
  if (/^sumdb\/./s.test(key)) return 'sumdb';
  if (key.endsWith('/@latest')) return 'latest';
  const [, file] = key.split('/@v/');
  if (file === 'list') return 'list';
  const [, version, ending] = /^(.*)\.(info|mod|zip)$/s.exec(file ?? '') ?? [];
  if (version === undefined) return 'other';
  if (ending === 'zip' || ending === 'mod') return ending;
  return VERSION.test(version) ? 'info' : 'query';
}

/** `v` and three numbers; anything may stand between and behind them. */
const VERSION = /^v[0-9].*?\.[0-9].*?\.[0-9]/s;
