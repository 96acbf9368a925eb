/** No put goes on while nothing can be stored. */

import { Busy } from '../core/errors.ts';
import type { Store } from '../core/store-port.ts';

/** @throws {Busy} nothing can be stored now */
export function refuseFull({ full }: Pick<Store, 'full'>): void {
  if (full !== undefined) throw new Busy(`cannot store: ${full}`);
}
