/** The names of this server that need no `--hosts`: this machine's own, and the one that it listens at. */

import { hostname } from 'node:os';
import type { Address } from '../core/address.ts';
import { parseHostNames } from '../core/setting.ts';

/** As `parseHostNames` gives them. Names that no client could give are left out. */
export function ownNames(addr: Address): readonly string[] {
  const names = [hostname(), addr.kind === 'tcp' ? addr.host : ''];
  return names.flatMap((name) => {
    try {
      return parseHostNames(name);
    } catch {
      return [];
    }
  });
}
