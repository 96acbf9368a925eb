/** The files of one commit, as `git ls-tree -r -l -z` lists them. */

import { isUtf8 } from 'node:buffer';
import { NotFound } from '../core/errors.ts';
import { ZIP_ENTRIES_MAX } from '../core/limits.ts';
import { GitFailed } from './git-command.ts';
import { oneLine } from './words.ts';

export type TreeFile = {
  /** From the repository's root. Valid UTF-8; else nothing is checked. */
  readonly path: string;
  readonly kind: 'regular' | 'link';
  /** As it is stored: line endings may make it another size in an archive. */
  readonly bytes: number;
};

/**
 * Submodules are left out: an archive has an empty directory in their place.
 *
 * @throws {GitFailed} a file's object is lost: the copy is damaged
 * @throws {NotFound} no zip can be made of them
 */
export async function readTree(listing: AsyncIterable<Buffer>): Promise<TreeFile[]> {
  const files: TreeFile[] = [];
  let rest = Buffer.alloc(0);
  for await (const piece of listing) {
    const text = rest.length === 0 ? piece : Buffer.concat([rest, piece]);
    let at = 0;
    for (let end = text.indexOf(0); end >= 0; end = text.indexOf(0, at)) {
      const file = parseLine(text.subarray(at, end));
      if (file !== undefined) files.push(file);
      at = end + 1;
    }
    // As many again are never all left out.
    if (files.length > 2 * ZIP_ENTRIES_MAX)
      throw new NotFound(`create zip: more than ${2 * ZIP_ENTRIES_MAX} files`);
    rest = Buffer.from(text.subarray(at));
  }
  if (rest.length > 0) throw new GitFailed('git ls-tree wrote half a line', { reason: 'exit' });
  return files;
}

function parseLine(line: Buffer): TreeFile | undefined {
  const tab = line.indexOf(9);
  const [mode = '', type, , size] = line.toString('latin1', 0, tab).split(/ +/);
  if (type !== 'blob') return undefined;
  if (!/^[0-9]+$/.test(size ?? '')) throw new GitFailed('a file of the tree is lost', { reason: 'exit' });
  const name = line.subarray(tab + 1);
  if (!isUtf8(name))
    throw new NotFound(`create zip: malformed file path ${oneLine(name.toString())}: invalid UTF-8`);
  return { path: name.toString(), kind: mode === '120000' ? 'link' : 'regular', bytes: Number(size) };
}
