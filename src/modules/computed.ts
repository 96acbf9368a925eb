/**
 * Lists and `@latest` computed from the stored versions. They are used when no source can be asked and no answer is
 * stored.
 *
 * The rules are those of a GOPROXY (https://go.dev/ref/mod#goproxy-protocol). A list has releases and pre-releases,
 * but no pseudo-versions. `@latest` is the highest release, else the highest pre-release, else the newest
 * pseudo-version; only versions with a stored `.info` count for it.
 */

import { StoredFile } from '../core/answer.ts';
import { escapeModulePath } from '../core/module-path.ts';
import { isPseudoVersion } from '../core/pseudo-version.ts';
import { type Resource, resourceKey } from '../core/resource.ts';
import type { Store, StoredVersion } from '../core/store-port.ts';
import { compareVersions, unescapeVersion, type Version } from '../core/version.ts';
import { latestOf } from '../core/version-list.ts';

/** What other places than the store have of the module. Nothing of it fails. */
export type Elsewhere = {
  versions(): Promise<readonly StoredVersion[]>;
  info(resource: Extract<Resource, { version: unknown }>): Promise<Uint8Array | undefined>;
};

const NOWHERE: Elsewhere = { versions: async () => [], info: async () => undefined };

/**
 * Computes the answer to a list or `@latest` from the store and from what is known elsewhere.
 *
 * @returns undefined if neither has a version for it, or if `resource` is neither a list nor latest
 */
export async function computeAnswer(
  store: Pick<Store, 'getVersions' | 'getEntry'>,
  resource: Resource,
  elsewhere: Elsewhere = NOWHERE,
): Promise<StoredFile | undefined> {
  if (resource.kind !== 'list' && resource.kind !== 'latest') return undefined;
  const stored = await store.getVersions({ module: escapeModulePath(resource.module) });
  const versions = united([...stored.versions, ...(await elsewhere.versions())])
    .flatMap(({ version, hasInfo }) => {
      const plain = unescapeVersion(version);
      return plain.kind === 'version' ? [{ version: plain.version, hasInfo }] : [];
    })
    .sort((a, b) => compareVersions(a.version, b.version));
  if (versions.length === 0) return undefined;
  if (resource.kind === 'latest') {
    return latest(
      { store, elsewhere },
      resource,
      versions.filter(({ hasInfo }) => hasInfo).map(({ version }) => version),
    );
  }
  const lines = versions
    .filter(({ version }) => !isPseudoVersion(version))
    .map(({ version }) => `${version}\n`);
  return file(resource, new TextEncoder().encode(lines.join('')));
}

/** Each version once. */
function united(versions: readonly StoredVersion[]): StoredVersion[] {
  const hasInfo = new Map<string, boolean>();
  for (const one of versions) hasInfo.set(one.version, hasInfo.get(one.version) === true || one.hasInfo);
  return [...hasInfo].map(([version, has]) => ({ version, hasInfo: has }));
}

async function latest(
  { store, elsewhere }: { store: Pick<Store, 'getEntry'>; elsewhere: Elsewhere },
  resource: Resource,
  versions: readonly Version[],
): Promise<StoredFile | undefined> {
  const version = latestOf(versions);
  if (version === undefined) return undefined;
  const of = { kind: 'info', module: resource.module, version } as const;
  const { entry, bytes } = await store.getEntry({ key: resourceKey(of) });
  const info = entry?.status === 200 ? bytes : await elsewhere.info(of);
  return info && file(resource, info);
}

/** A file that is never fresh and never stored, so that the next request asks the source again. */
function file(resource: Resource, bytes: Uint8Array): StoredFile {
  return new StoredFile({
    kind: resource.kind,
    status: 200,
    size: bytes.byteLength,
    body: bytes,
    blob: undefined,
    sha256: '',
    freshUntilMs: 0,
    visibility: 'private', // It never comes into memory, and each client's right was checked.
  });
}
