/**
 * Finds paths of one zip that cannot be in one directory tree: two paths that differ only by case, a file that is also
 * a directory, and a file that comes twice.
 *
 * Follows golang.org/x/mod/zip (collisionChecker), but walks down from the root. So the work grows with the length of
 * the names. With whole paths as keys it would grow with the square of a deep path's length.
 */

import { badZip, quoteName } from './bad-zip.ts';
import { foldPath } from './file-path.ts';
import { ZIP_PATHS_MAX } from './limits.ts';

type Node = { readonly id: number; readonly element: string; readonly isDirectory: boolean };

export class PathCollisions {
  /** The nodes by the directory's id and the folded element, which contains no "/". */
  readonly #nodes = new Map<string, Node>();
  /** The directory of the last path. It is mostly the directory of the next one too. */
  #last = { directory: '', id: 0 };

  /**
   * Adds a path and the directories above it. A directory may come any number of times.
   *
   * @throws {CheckFailed} it collides with an earlier path, or there are more than `ZIP_PATHS_MAX`
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

  /** The id of the node below `directory`. The node is made if it is new. */
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
    if (other.element !== element)
      throw badZip(`differs by case only from ${quoteName(other.element)}`, path);
    if (other.isDirectory !== isDirectory) throw badZip('both a file and a directory', path);
    if (!isDirectory) throw badZip('two entries for one file', path);
    return other.id;
  }
}
