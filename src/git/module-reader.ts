/**
 * The answers about one module of one repository: its versions, a version or query with its commit and time, its go.mod file.
 *
 * Made for one request. Follows cmd/go/internal/modfetch/coderepo.go, step by step, for the same answers: `module-directory.ts`
 * is its findDir, `pseudo-version-check.ts` its validatePseudoVersion.
 */

import { NotFound } from '../core/errors.ts';
import { isPseudoVersion, makePseudoVersion } from '../core/pseudo-version.ts';
import {
  checkMajor,
  compareVersions,
  isPrerelease,
  majorOf,
  parseVersion,
  type Version,
} from '../core/version.ts';
import { isRetracted, parseGoModLax, type VersionInterval } from './go-mod-file.ts';
import { goModPaths, type ModuleDirectory, madeUpGoMod, moduleDirectory } from './module-directory.ts';
import { type ModulePlace, revisionOf } from './module-place.ts';
import { checkPseudoVersion } from './pseudo-version-check.ts';
import type { Repository } from './repository.ts';
import type { Revision } from './revision.ts';
import { canonicalOf, compareSemver, isPseudoText } from './semver.ts';
import { oneLine } from './words.ts';

/** Where a version is from, as the `go` command writes it. */
export type ModuleOrigin = {
  readonly VCS: 'git';
  readonly URL: string;
  readonly Subdir?: string;
  readonly Hash?: string;
  readonly TagPrefix?: string;
  readonly TagSum?: string;
  readonly Ref?: string;
};

/** The answer to a version or query. */
export type ModuleInfo = { readonly version: Version; readonly time: Date; readonly origin: ModuleOrigin };

type RevisionFiles = { readonly time: Date; readonly files: readonly (Buffer | undefined)[] };

export type ModuleReaderOptions = {
  readonly repository: Repository;
  readonly place: ModulePlace;
  /** Refs older than this, in monotonic time, are asked for again. */
  readonly sinceMs: number;
};

export class ModuleReader {
  readonly #repository: Repository;
  readonly #place: ModulePlace;
  readonly #sinceMs: number;
  readonly #known = new Map<string, { time: Date; files: Map<string, Buffer | undefined> }>();
  #retracted: Promise<readonly VersionInterval[]> | undefined;

  constructor({ repository, place, sinceMs }: ModuleReaderOptions) {
    this.#repository = repository;
    this.#place = place;
    this.#sinceMs = sinceMs;
  }

  /**
   * All versions that tags name, in rising order; those with `+incompatible` come last.
   *
   * @throws {ServeError} the repository can't be read
   */
  async versions(): Promise<Version[]> {
    const { module, tagPrefix, directory, pathMajor } = this.#place;
    if (module.startsWith('gopkg.in/') && module.endsWith('-unstable')) return [];
    const list: Version[] = [];
    const incompatible: Version[] = [];
    for (const { name } of (await this.#repository.refs(this.#sinceMs)).tags(tagPrefix)) {
      const text = name.slice(tagPrefix.length);
      const version = canonicalOf(text);
      if (version !== text || version === undefined || isPseudoVersion(version)) continue;
      if (checkMajor(module, version)) list.push(version);
      else if (directory === '' && pathMajor === '') incompatible.push(version);
    }
    list.sort(compareVersions);
    incompatible.sort(compareVersions);
    return [...list, ...(await this.#withoutGoMod(list.at(-1), incompatible))];
  }

  /**
   * A version, a tag, a branch or a commit.
   *
   * @throws {NotFound} there is none, or it can't be a version of this module; the text says why
   */
  async info(query: string): Promise<ModuleInfo> {
    if (query === 'latest') return await this.latest();
    const revision = await this.#resolve(query);
    return await this.#convert(revision, query);
  }

  /** The default branch's newest commit, for a module without versions. */
  async latest(): Promise<ModuleInfo> {
    const revision = await this.#repository.head(this.#sinceMs);
    const info = await this.#convert(revision, '');
    return { ...info, origin: orderedOrigin({ ...info.origin, Ref: 'HEAD' }) };
  }

  /** The commit of a version, and the directory and go.mod file that the module has there. */
  async source(version: Version): Promise<{ revision: Revision } & ModuleDirectory> {
    const info = await this.info(version);
    if (info.version !== version) throw this.#invalid(version, `it is ${info.version}`);
    const revision = await this.#resolve(version);
    return { revision, ...(await this.#directory(revision)) };
  }

  /** The go.mod file of a version; one that is made up where it has none. */
  async goMod(version: Version): Promise<Buffer> {
    return (await this.source(version)).goMod ?? madeUpGoMod(this.#place.module);
  }

  async #resolve(query: string): Promise<Revision> {
    try {
      return await this.#repository.resolve(revisionOf(this.#place, query), this.#sinceMs);
    } catch (error) {
      throw error instanceof NotFound ? this.#invalid(query, error.message) : error;
    }
  }

  async #directory(revision: Revision): Promise<ModuleDirectory> {
    const { files } = await this.#read(revision, goModPaths(this.#place));
    return moduleDirectory(this.#place, files, `revision ${revision.tag ?? revision.hash.slice(0, 12)}`);
  }

  async #hasFile(revision: Revision, path: string): Promise<boolean> {
    return (await this.#read(revision, [path])).files[0] !== undefined;
  }

  /** As `Repository.read`, but nothing twice: the files that are read most come with the first of them. */
  async #read(revision: Revision, paths: readonly string[]): Promise<RevisionFiles> {
    let known = this.#known.get(revision.hash);
    const missing = paths.filter((path) => !known?.files.has(path));
    if (known === undefined || missing.length > 0) {
      const wanted = [...new Set([...(known === undefined ? goModPaths(this.#place) : []), ...missing])];
      const { time, files } = await this.#repository.read(revision, wanted);
      known = { time, files: known?.files ?? new Map() };
      for (const [at, path] of wanted.entries()) known.files.set(path, files[at]);
      this.#known.set(revision.hash, known);
    }
    const { time, files } = known;
    return { time, files: paths.map((path) => files.get(path)) };
  }

  #invalid(version: string, why: string): NotFound {
    return new NotFound(`${this.#place.module}@${oneLine(version)}: invalid version: ${why}`);
  }

  /** The versions of v2 and up that may be `+incompatible`: their major version's last one has no go.mod file. */
  async #withoutGoMod(compatible: Version | undefined, rising: readonly Version[]): Promise<Version[]> {
    const hasGoMod = async (version: Version) =>
      await this.#hasFile(await this.#repository.resolve(version, this.#sinceMs), 'go.mod');
    if (rising.length === 0) return [];
    // The author wants users to be on v0 or v1.
    if (compatible !== undefined && (await hasGoMod(compatible))) return [];
    const kept: Version[] = [];
    for (const versions of Map.groupBy(rising, majorOf).values()) {
      const last = versions.at(-1);
      if (last === undefined || (await hasGoMod(last))) continue;
      kept.push(...versions.flatMap((version) => parseVersion(`${version}+incompatible`) ?? []));
    }
    return kept;
  }

  /** The version that a commit has for a query; `''` asks for any. */
  async #convert(revision: Revision, query: string): Promise<ModuleInfo> {
    const { time } = await this.#read(revision, []);
    const version = await this.#versionOf(revision, { query, time });
    return { version, time, origin: await this.#origin(revision, { version, query }) };
  }

  async #versionOf(revision: Revision, { query, time }: { query: string; time: Date }): Promise<Version> {
    const { tagPrefix, major } = this.#place;
    const asked = parseVersion(query);
    if (asked !== undefined && isPseudoVersion(asked)) {
      const version = await this.#canonical(revision, asked, query);
      await checkPseudoVersion(asked, {
        place: this.#place,
        repository: this.#repository,
        revision,
        time,
        sinceMs: this.#sinceMs,
      });
      return version;
    }
    const own = revision.tag === undefined ? undefined : this.#versionOfTag(revision.tag);
    if (own?.isCanonical) {
      const version = await this.#canonical(revision, own.version, query).catch((error: unknown) => {
        if (!(error instanceof NotFound)) throw error;
      });
      if (version !== undefined) return version;
    }
    const fromTags = await this.#fromTags(revision, query);
    if (fromTags.canonical !== undefined) return await this.#canonical(revision, fromTags.canonical, query);
    let { base } = fromTags;
    if (base === undefined) {
      const isAllowed = (tag: string) => this.#mayBeBase(revision, tag, query);
      const tag = await this.#repository.recentTag(revision, {
        prefix: tagPrefix,
        isAllowed,
        sinceMs: this.#sinceMs,
      });
      base = tag === undefined ? undefined : this.#versionOfTag(tag)?.version;
    }
    const rev = revision.hash.slice(0, 12);
    const pseudo = makePseudoVersion({ major: major || 'v0', base, time, rev });
    return await this.#canonical(revision, pseudo, query);
  }

  /** Looks through the tags of the commit itself for a version, or for the base of a pseudo-version. */
  async #fromTags(revision: Revision, query: string): Promise<{ canonical?: Version; base?: Version }> {
    let highest: Version | undefined;
    let base: Version | undefined;
    for (const tag of (await this.#repository.refs(this.#sinceMs)).tagsOf(revision.hash)) {
      const own = this.#versionOfTag(tag);
      if (query !== '' && compareSemver(own?.version ?? '', query) === 0) {
        if (own?.isCanonical) return { canonical: own.version };
        base = own?.version;
      }
      if (
        own === undefined ||
        !own.isCanonical ||
        (highest !== undefined && compareVersions(highest, own.version) >= 0)
      )
        continue;
      if (await this.#mayBeBase(revision, tag, query)) highest = own.version;
    }
    return {
      ...(highest === undefined ? {} : { canonical: highest }),
      ...(base === undefined ? {} : { base }),
    };
  }

  /** Whether a tag's version fits the module's path and is not retracted. */
  async #mayBeBase(revision: Revision, tag: string, query: string): Promise<boolean> {
    const own = this.#versionOfTag(tag);
    if (own === undefined) return false;
    const isFitting = checkMajor(this.#place.module, own.version);
    if (!isFitting && !(await this.#mayBeIncompatible(revision, own.version, query))) return false;
    this.#retracted ??= this.#retractions();
    return !isRetracted(await this.#retracted, own.version);
  }

  /** The version that a tag names; not canonical if it has more than a version needs, such as build metadata. */
  #versionOfTag(tag: string): { version: Version; isCanonical: boolean } | undefined {
    const { tagPrefix } = this.#place;
    if (!tag.startsWith(tagPrefix) || isPseudoText(tag)) return undefined;
    const text = tag.slice(tagPrefix.length);
    const version = canonicalOf(text);
    if (version === undefined || !text.startsWith(version)) return undefined;
    return { version, isCanonical: version === text };
  }

  /** The retractions in the go.mod file of the highest release; none if it can't be read. */
  async #retractions(): Promise<readonly VersionInterval[]> {
    try {
      const versions = (await this.versions()).filter((version) => !version.endsWith('+incompatible'));
      const highest = versions.findLast((version) => !isPrerelease(version)) ?? versions.at(-1);
      return highest === undefined ? [] : (parseGoModLax(await this.goMod(highest))?.retracted ?? []);
    } catch (error) {
      if (error instanceof NotFound) return [];
      throw error;
    }
  }

  /** Whether a version of v2 or up may be one of a module without `/v2`: nothing at its commit says that it is a module. */
  async #mayBeIncompatible(revision: Revision, version: Version, query: string): Promise<boolean> {
    const { directory, pathMajor } = this.#place;
    if (directory !== '' || pathMajor !== '' || (await this.#hasFile(revision, 'go.mod'))) return false;
    return query.endsWith('+incompatible') || !(await this.#hasFile(revision, `${majorOf(version)}/go.mod`));
  }

  /**
   * A version as this module's: with `+incompatible` where it must be.
   *
   * @throws {NotFound} it can't be one of this module, or is not the one that was asked for
   */
  async #canonical(revision: Revision, found: Version, query: string): Promise<Version> {
    const { module, pathMajor, pathPrefix } = this.#place;
    try {
      await this.#directory(revision);
    } catch (error) {
      throw error instanceof NotFound ? this.#invalid(found, error.message) : error;
    }
    const base = plainOf(found);
    const isFitting = checkMajor(module, base);
    const isIncompatible = !isFitting && (await this.#mayBeIncompatible(revision, base, query));
    const asked = parseVersion(query);
    if (asked !== undefined && plainOf(asked) !== base)
      throw this.#invalid(query, `resolves to version ${found} (${plainOf(asked)} is not a tag)`);
    if (isIncompatible) return parseVersion(`${base}+incompatible`) ?? base;
    if (isFitting) {
      const isMarked =
        found.endsWith('+incompatible') || (asked !== undefined && query.endsWith('+incompatible'));
      if (!isMarked) return found;
      throw this.#invalid(
        query,
        `+incompatible suffix not allowed: major version ${majorOf(base)} is compatible`,
      );
    }
    throw this.#invalid(
      found,
      pathMajor === ''
        ? `module contains a go.mod file, so module path must match major version ("${pathPrefix}/${majorOf(base)}")`
        : 'module path includes a major version suffix, so major version must match',
    );
  }

  async #origin(
    { hash, ref }: Revision,
    { version, query }: { version: Version; query: string },
  ): Promise<ModuleOrigin> {
    const { directory, tagPrefix, pathMajor } = this.#place;
    const refs =
      isPseudoVersion(version) && (version !== query || !version.startsWith('v0.0.0-'))
        ? await this.#repository.refs(this.#sinceMs)
        : undefined;
    const prefix = tagPrefix + (pathMajor === '' ? '' : `${pathMajor.slice(1)}.`);
    return orderedOrigin({
      VCS: 'git',
      URL: this.#repository.url,
      ...(directory === '' ? {} : { Subdir: directory }),
      Hash: hash,
      // A hash that is the default branch's newest commit has no name that could move.
      ...(ref === undefined || ref === 'HEAD' ? {} : { Ref: ref }),
      ...(refs === undefined
        ? {}
        : { ...(prefix === '' ? {} : { TagPrefix: prefix }), TagSum: refs.tagSum(prefix) }),
    });
  }
}

/** In the order in which the `go` command writes them. */
function orderedOrigin({ VCS, URL, Subdir, Hash, TagPrefix, TagSum, Ref }: ModuleOrigin): ModuleOrigin {
  return {
    VCS,
    URL,
    ...(Subdir === undefined ? {} : { Subdir }),
    ...(Hash === undefined ? {} : { Hash }),
    ...(TagPrefix === undefined ? {} : { TagPrefix }),
    ...(TagSum === undefined ? {} : { TagSum }),
    ...(Ref === undefined ? {} : { Ref }),
  };
}

/** Without `+incompatible`. */
function plainOf(version: Version): Version {
  return parseVersion(version.replace('+incompatible', '')) ?? version;
}
