/**
 * Finds paths of one zip that cannot be files of one directory tree: two that differ by case only,
 * a file that is also a directory, a file twice.
 *
 * Follows golang.org/x/mod/zip (collisionChecker), but walks down from the root: the work is then
 * as long as the names, where keys of whole paths cost the square of a deep name's length.
 */

import { ZIP_PATHS_MAX } from '../core/limits.ts';
import { badZip, quote } from './bad-zip.ts';
import { foldPath } from './file-path.ts';

type Node = { readonly id: number; readonly element: string; readonly isDirectory: boolean };

export class PathCollisions {
  /** By the directory's id and the folded element, which holds no "/". */
  readonly #nodes = new Map<string, Node>();
  /** The last path's directory, which is mostly the next one's too. */
  #last = { directory: '', id: 0 };

  /**
   * Adds a path and the directories above it. A directory may come any number of times.
   *
   * @throws {CheckFailed} it collides with one added before, or there are more than `ZIP_PATHS_MAX`
   */
  add(path: string, isDirectory: boolean): void {
    const slash = path.lastIndexOf('/');
    const directory = path.slice(0, Math.max(slash, 0));
    if (directory !== this.#last.directory) this.#last = { directory, id: this.#walk(directory, path) };
    this.#enter(this.#last.id, { element: path.slice(slash + 1), isDirectory, path });
  }

  #walk(directory: string, path: string): number {
    let id = 0;
    for (const element of directory === '' ? [] : directory.split('/'))
      id = this.#enter(id, { element, isDirectory: true, path });
    return id;
  }

  /** The id of the node below `directory`, which may be new. */
  #enter(directory: number, added: { element: string; isDirectory: boolean; path: string }): number {
    const { element, isDirectory, path } = added;
    const key = `${directory}/${foldPath(element)}`;
    const other = this.#nodes.get(key);
    if (other === undefined) {
      const id = this.#nodes.size + 1;
      if (id > ZIP_PATHS_MAX) throw badZip(`more than ${ZIP_PATHS_MAX} files and directories`);
      this.#nodes.set(key, { id, element, isDirectory });
      return id;
    }
    if (other.element !== element) throw badZip(`differs by case only from ${quote(other.element)}`, path);
    if (other.isDirectory !== isDirectory) throw badZip('both a file and a directory', path);
    if (!isDirectory) throw badZip('two entries for one file', path);
    return other.id;
  }
}
