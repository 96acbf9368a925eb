/**
 * One directory in go-cache-plugin's layout: `action/xx/<hex>` holds `<output hex> <Unix ns>`, as in its bucket, and
 * `output/xx/<hex>` the raw bytes. Its own `<output hex> <size>` is read too. Several processes use one directory at once.
 *
 * A namespace has its actions below `namespace/`, and reads those of the main one too.
 *
 * A file comes by rename and is never written again, since `go` may have it mapped. Last use is its mtime, noted by the
 * hour. All calls are synchronous: on a local disk they are quicker than a thread's round trip.
 */

import * as fs from 'node:fs';
import { dirname, join, sep } from 'node:path';
import { isCacheId, isCacheTime, MAIN_NAMESPACE } from '../core/cache-id.ts';
import { crypto } from '../core/node-modules.ts';

export type LocalEntry = {
  readonly outputId: string;
  readonly size: number;
  /** Unix nanoseconds. */
  readonly time: string;
  readonly path: string;
};

/** What names an output. */
export type OutputName = Pick<LocalEntry, 'outputId' | 'size'>;

/** A file that its writer alone knows. */
export type Temporary = { readonly path: string; readonly fd: number };

export type CacheDirectoryOptions = {
  readonly path: string;
  readonly namespace: string;
  readonly now: () => number;
};

export class CacheDirectory {
  readonly path: string;
  readonly #now: () => number;
  /** The namespace's own directory; undefined for the main one. */
  readonly #own: string | undefined;

  constructor({ path, namespace, now }: CacheDirectoryOptions) {
    this.path = path;
    this.#now = now;
    this.#own = namespace === MAIN_NAMESPACE ? undefined : namespaceDirectory(path, namespace);
  }

  /** What an action gave, as long as its output is there. Notes the use. */
  get(actionId: string): LocalEntry | undefined {
    const own = this.getOwn(actionId);
    return (
      own ??
      (this.#own === undefined ? undefined : this.#get(pathBelow(this.path, 'action', actionId), actionId))
    );
  }

  /** As `get`, in its own namespace alone. */
  getOwn(actionId: string): LocalEntry | undefined {
    return this.#get(this.#path('action', actionId), actionId);
  }

  #get(actionFile: string, actionId: string): LocalEntry | undefined {
    try {
      const [outputId, number] = fs.readFileSync(actionFile, 'utf8').trim().split(' ');
      if (!isCacheId(outputId) || !isCacheTime(number)) return undefined;
      const path = this.#path('output', outputId);
      const stat = fs.statSync(path);
      const isTheirs = Number(number) < NS_MIN;
      if (!stat.isFile() || (isTheirs && stat.size !== Number(number))) return undefined;
      const time = isTheirs ? `${Math.floor(fs.statSync(actionFile).mtimeMs)}000000` : number;
      const entry: LocalEntry = { outputId, time, path, size: stat.size };
      if (stat.mtimeMs < this.#now() - USE_NOTED_MS) {
        this.#noteUse(path);
        if (isTheirs) this.#keepTime(actionId, entry);
        else this.#noteUse(actionFile);
      }
      return entry;
    } catch {
      return undefined;
    }
  }

  /** Where an output of this size lies already. Notes the use. Undefined too where the directory can't be read. */
  find({ outputId, size }: OutputName): string | undefined {
    const path = this.#path('output', outputId);
    const stat = statQuietly(path);
    if (stat === undefined || !stat.isFile() || stat.size !== size) return undefined;
    if (stat.mtimeMs < this.#now() - USE_NOTED_MS) this.#noteUse(path);
    return path;
  }

  /** Where an output lies, if it is there. */
  outputPath(outputId: string): string {
    return this.#path('output', outputId);
  }

  /** Where a file of this namespace alone lies, such as its spool. */
  ownPath(name: string): string {
    return join(this.#own ?? this.path, name);
  }

  /** @throws {Error} the directory can't be written */
  openTemporary(): Temporary {
    const path = join(this.path, 'tmp', `${process.pid}-${randomName()}`);
    return withDirectoryOf(path, () => ({ path, fd: fs.openSync(path, 'wx+', 0o644) }));
  }

  /**
   * Makes the file the output of this name. The caller has checked its bytes, and closes it.
   *
   * @returns where it lies now
   * @throws {Error} the directory can't be written
   */
  moveIn({ path: from }: Temporary, output: OutputName): string {
    const path = this.#path('output', output.outputId);
    // Another process may have been quicker: its file may be mapped already, and Windows then refuses to replace it.
    if (this.find(output) === undefined) {
      try {
        withDirectoryOf(path, () => fs.renameSync(from, path));
        return path;
      } catch (error) {
        if (this.find(output) === undefined) throw error;
      }
    }
    fs.unlinkSync(from);
    return path;
  }

  /**
   * Makes the output that of an action.
   *
   * Windows does not replace a file that another process reads just now: where that one says the same, it stays.
   *
   * @throws {Error} the directory can't be written
   */
  link(actionId: string, { outputId, time }: LocalEntry): void {
    const file = this.openTemporary();
    try {
      fs.writeSync(file.fd, `${outputId} ${time}`);
      const path = this.#path('action', actionId);
      withDirectoryOf(path, () => fs.renameSync(file.path, path));
    } catch (error) {
      fs.rmSync(file.path, { force: true });
      if (this.getOwn(actionId)?.outputId !== outputId) throw error;
    } finally {
      fs.closeSync(file.fd);
    }
  }

  #path(kind: 'action' | 'output', id: string): string {
    return pathBelow(kind === 'action' ? (this.#own ?? this.path) : this.path, kind, id);
  }

  /** From now on the file's mtime is its last use. */
  #keepTime(actionId: string, entry: LocalEntry): void {
    try {
      this.link(actionId, entry);
    } catch {
      // A directory that is read-only keeps the mtime too.
    }
  }

  #noteUse(path: string): void {
    try {
      const nowS = this.#now() / 1000;
      fs.utimesSync(path, nowS, nowS);
    } catch {
      // A directory that is read-only is not trimmed either.
    }
  }
}

function pathBelow(directory: string, kind: 'action' | 'output', id: string): string {
  // `join` looks at each character: in code that runs a few hundred times that is a third of a get.
  return `${directory}${sep}${kind}${sep}${id.slice(0, 2)}${sep}${id}`;
}

/** By a hash: names may be long, differ in case alone, or be `..`. */
function namespaceDirectory(path: string, namespace: string): string {
  const name = crypto().createHash('sha256').update(namespace).digest('hex').slice(0, 32);
  return join(path, NAMESPACES, name);
}

/** Below it, each namespace but the main one has the directory of its actions. Outputs are for all. */
export const NAMESPACES = 'namespace';

/** The kept filters' names begin so: `miss-filter.ts`. */
export const FILTER = 'filter-';

/** Has the files of `package-versions.ts`. */
export const VERSIONS = 'versions';

/** A smaller number is a size, and the file's mtime is the time: go-cache-plugin's own form. In ns it is January 1970. */
const NS_MIN = 1e15;

/** Uses are noted no finer, as in Go's own cache: each note is a write. */
const USE_NOTED_MS = 3_600_000;

/** `open` refuses a name that is taken. It is no secret: the directory is its user's own. */
function randomName(): string {
  const half = () => Math.floor(Math.random() * 2 ** 32).toString(16);
  return `${half()}-${half()}`;
}

/** Makes a path's directory only where it turns out to be absent: nearly always it is there. */
function withDirectoryOf<T>(path: string, use: () => T): T {
  try {
    return use();
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
    fs.mkdirSync(dirname(path), { recursive: true });
    return use();
  }
}

/** Undefined also where the directory may not be read: the put then finds out whether it can write. */
function statQuietly(path: string): fs.Stats | undefined {
  try {
    return fs.statSync(path);
  } catch {
    return undefined;
  }
}
