/** The files of versions that the bucket has of a module, by a listing. */

import { escapeModulePath, type ModulePath } from '../core/module-path.ts';
import type { ObjectPage, ObjectStore } from '../core/object-store.ts';
import { parseResource, type Resource } from '../core/resource.ts';
import { moduleObject } from './layout.ts';
import { LIST_PAGES_MAX } from './limits.ts';

/** Empty objects are none: they were cut. @throws as an {@link ObjectStore} */
export async function* listedFiles(
  bucket: ObjectStore,
  module: ModulePath,
): AsyncGenerator<Extract<Resource, { version: unknown }>> {
  const prefix = moduleObject(`${escapeModulePath(module)}/@v/`);
  let next: string | undefined;
  for (let pages = 0; pages < LIST_PAGES_MAX; pages++) {
    const page: ObjectPage = await bucket.list({ prefix, next });
    for (const { key, size } of page.objects) {
      const resource = size > 0 ? fileOf(key) : undefined;
      if (resource !== undefined && 'version' in resource) yield resource;
    }
    next = page.next;
    if (next === undefined) return;
  }
}

function fileOf(key: string): Resource | undefined {
  try {
    return parseResource(key.slice(moduleObject('').length));
  } catch {
    return undefined; // Whoever can write to the bucket can lay anything there.
  }
}
