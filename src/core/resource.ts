/**
 * The files of a GOPROXY, as one union, and their keys in the store. A key is exactly the file's path below the
 * GOPROXY's root. Checksum databases and our own prefixes are not in this union.
 *
 * Follows https://go.dev/ref/mod#goproxy-protocol and cmd/go/internal/modfetch/proxy.go.
 */

import { BadRequest } from './errors.ts';
import { KEY_LENGTH_MAX } from './limits.ts';
import { escapeModulePath, type ModulePath, unescapeModulePath } from './module-path.ts';
import { quote } from './quote.ts';
import { checkMajor, escapeVersion, type Query, queryOf, unescapeVersion, type Version } from './version.ts';

/** One file of a GOPROXY. `info` is of a canonical version; `query` is the `.info` of anything else. */
export type Resource =
  | { readonly kind: 'list' | 'latest'; readonly module: ModulePath }
  | { readonly kind: 'info' | 'mod' | 'zip'; readonly module: ModulePath; readonly version: Version }
  | { readonly kind: 'query'; readonly module: ModulePath; readonly query: Query };

/**
 * Reads a path below a GOPROXY's root, such as `github.com/!azure/x/@v/v1.0.0.zip`. It is percent-decoded, and capital
 * letters are still escaped by "!".
 *
 * A version may not fit the module's path. Its `.info` is then a query: a proxy may answer it with another version, and
 * the `go` command accepts that. Its `.mod` and `.zip` are allowed here, and the upstream refuses them.
 *
 * @returns undefined if the path does not have the form of a GOPROXY's file
 * @throws {BadRequest} it has the form, but a part is malformed
 */
export function parseResource(path: string): Resource | undefined {
  const form = FORM.exec(path);
  if (form === null) return undefined;
  if (path.length > KEY_LENGTH_MAX) throw new BadRequest(`path over ${KEY_LENGTH_MAX} characters`);
  const [, escaped = '', version, ending] = form;
  const module = unescapeModulePath(escaped);
  if (version !== undefined && isEnding(ending)) return parseVersioned(module, version, ending);
  return { kind: path.endsWith('/@latest') ? 'latest' : 'list', module };
}

/** The inverse of {@link parseResource}, which reads keys as well. */
export function resourceKey(resource: Resource): string {
  const module = escapeModulePath(resource.module);
  switch (resource.kind) {
    case 'list':
      return `${module}/@v/list`;
    case 'latest':
      return `${module}/@latest`;
    case 'query':
      return `${module}/@v/${escapeVersion(resource.query)}.info`;
    default:
      return `${module}/@v/${escapeVersion(resource.version)}.${resource.kind}`;
  }
}

/** Whether the file's bytes never change, so that it is kept for ever and never revalidated. */
export function isImmutable(resource: Resource): boolean {
  return resource.kind === 'info' || resource.kind === 'mod' || resource.kind === 'zip';
}

/** The module of the file. */
export function moduleOf(resource: Resource): ModulePath {
  return resource.module;
}

type Ending = 'info' | 'mod' | 'zip';

// No module path contains "@", so the first "/@" ends it. Versions contain dots, so the last ending counts.
const FORM = /^([^@]*)\/@(?:latest|v\/list|v\/(.*)\.(info|mod|zip))$/s;

function isEnding(text: string | undefined): text is Ending {
  return text === 'info' || text === 'mod' || text === 'zip';
}

function parseVersioned(module: ModulePath, escaped: string, ending: Ending): Resource {
  const asked = unescapeVersion(escaped);
  if (asked.kind === 'query') {
    if (ending === 'info') return { kind: 'query', module, query: asked.query };
    throw new BadRequest(`cannot give .${ending}: not a canonical version: ${quote(asked.query)}`);
  }
  if (ending === 'info' && !checkMajor(module, asked.version)) {
    return { kind: 'query', module, query: queryOf(asked.version) };
  }
  return { kind: ending, module, version: asked.version };
}
