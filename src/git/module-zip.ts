/** The zip of one version of a module, made from its commit as the `go` command makes it. */

import type { Version } from '../core/version.ts';
import { isGo124 } from './go-mod-file.ts';
import type { ModulePlace } from './module-place.ts';
import type { ModuleReader } from './module-reader.ts';
import type { Repository } from './repository.ts';
import { type ModuleFile, selectFiles } from './zip-selection.ts';

export type ModuleZipOptions = {
  readonly reader: ModuleReader;
  readonly repository: Repository;
  readonly place: ModulePlace;
  readonly version: Version;
};

/**
 * The zip as it is made. All checks of names, and of sizes as they are stored, are done before its first byte.
 *
 * @throws {NotFound} the version is none, or no zip can be made of it
 * @throws {ServeError} the repository can't be read
 */
export async function* moduleZip(options: ModuleZipOptions): AsyncGenerator<Buffer, void, void> {
  const { reader, repository, place, version } = options;
  const { revision, directory } = await reader.source(version);
  const below = directory === '' ? '' : `${directory}/`;
  const files = (await repository.tree(revision, directory))
    .filter(({ path }) => path.startsWith(below))
    .map((file): ModuleFile => ({ ...file, path: file.path.slice(below.length) }));
  const [goMod] = files.some(isRegularGoMod)
    ? (await repository.read(revision, [`${below}go.mod`])).files
    : [];
  // A link counts as a LICENSE, though it is left out.
  const needsLicense = below !== '' && !files.some(({ path }) => path === 'LICENSE');
  const [license] = needsLicense ? (await repository.read(revision, ['LICENSE'])).files : [];
  if (license !== undefined) files.push({ path: 'LICENSE', kind: 'regular', bytes: license.length });
  const selected = await selectFiles(files, { isGo124: isGo124(goMod) });
  if (license !== undefined) selected.delete('LICENSE'); // The root's: not among the module's files.
  yield* repository.zip({
    revision,
    directory,
    paths: [...selected],
    prefix: `${place.module}@${version}/`,
    license,
  });
}

function isRegularGoMod({ path, kind }: ModuleFile): boolean {
  return path === 'go.mod' && kind === 'regular';
}
