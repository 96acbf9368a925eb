/** The module path that an index names; undefined for Go itself (`stdlib`, `toolchain`) and for what is no module path. */

import { isServeError } from '../core/errors.ts';
import { type ModulePath, parseModulePath } from '../core/module-path.ts';

export function modulePathOf(path: string): ModulePath | undefined {
  try {
    return parseModulePath(path);
  } catch (error) {
    if (isServeError(error)) return undefined;
    throw error;
  }
}
