/** The namespaces of the build cache that a request asks. */

import { NAMESPACE_HEADER } from '../core/build-cache-wire.ts';
import { isNamespace, MAIN_NAMESPACE, STORED_MAIN } from '../core/cache-id.ts';
import { BadRequest } from '../core/errors.ts';

/** The one that the request names, else the main one. @throws {BadRequest} a malformed name */
export function namespaceOf(header: (name: string) => string): string {
  const named = header(NAMESPACE_HEADER);
  const namespace = named === '' ? MAIN_NAMESPACE : named;
  if (!isNamespace(namespace)) throw new BadRequest('cannot use that namespace');
  return namespace;
}

/** As the store has it. */
export function storedNamespace(name: string): string {
  return name === MAIN_NAMESPACE ? STORED_MAIN : name;
}

/** As the store has those that a get looks into: its own, and the main one behind it. */
export function searched(name: string): readonly string[] {
  const own = storedNamespace(name);
  return own === STORED_MAIN ? [STORED_MAIN] : [own, STORED_MAIN];
}
