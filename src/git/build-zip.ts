/**
 * Makes the zip of some of a commit's files: `git` gives them uncompressed, and this thread compresses them.
 *
 * Runs in a builder thread. The front sends the order and gets pieces of the zip.
 */

import { archiveZip } from './archive-zip.ts';
import { GitCommand } from './git-command.ts';
import type { Environment } from './git-environment.ts';

/** All that another thread needs to make a zip. It can be cloned. */
export type ZipOrder = {
  /** Of the server, for `git`. */
  readonly environment: Environment;
  /** The repository's directory. */
  readonly gitDir: string;
  /** The commit's. */
  readonly hash: string;
  /** The module's, in the repository; empty for the root. */
  readonly directory: string;
  /** The files that the zip has, from the module's directory on. All are there. */
  readonly paths: readonly string[];
  /** Stands before each name in the zip: `<module>@<version>/`. */
  readonly prefix: string;
  /** A LICENSE that is added at the end. */
  readonly license?: Uint8Array | undefined;
};

/** Makes a zip in another thread; ending it early ends the `git` process. Fails as {@link buildZip} does. */
export type BuildZip = (order: ZipOrder) => AsyncGenerator<Buffer, void, void>;

/**
 * The zip in pieces of CHUNK_BYTES, the last one less; each has its buffer for itself.
 *
 * @param watch `onStarted`: as GitRun has it; `onTaken`: a piece of the archive is garbage now, of so many bytes
 * @throws {GitFailed} `git` fails
 * @throws {NotFound} the content is larger than Go takes
 * @throws {UpstreamFailed} the archive is not what git writes, or lacks a file
 */
export function buildZip(
  { environment, gitDir, hash, directory, paths, ...names }: ZipOrder,
  watch: {
    readonly signal?: AbortSignal;
    readonly onStarted?: (processGroup: number) => void;
    readonly onTaken?: (bytes: number) => void;
  } = {},
): AsyncGenerator<Buffer, void, void> {
  const { onTaken = () => {}, ...run } = watch;
  const git = new GitCommand({ environment });
  const args = ['archive', '--format=tar', hash, ...(directory === '' ? [] : [directory])];
  const below = directory === '' ? '' : `${directory}/`;
  const archive = git.stream(args, { ...run, gitDir, settings: AS_STORED });
  return archiveZip(noting(archive, onTaken), { ...names, below, paths: new Set(paths) });
}

/** Line endings stay as they are stored, whatever the server's own settings say. */
const AS_STORED = ['core.autocrlf=input', 'core.eol=lf', 'core.bigFileThreshold=512m'];

async function* noting(
  archive: AsyncIterable<Buffer>,
  onTaken: (bytes: number) => void,
): AsyncGenerator<Buffer, void, void> {
  for await (const piece of archive) {
    yield piece;
    onTaken(piece.byteLength);
  }
}
