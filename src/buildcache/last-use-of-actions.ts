/** When actions were last used. */

import type { ActionName } from '../core/build-cache-port.ts';
import type { Store } from '../core/store-port.ts';
import { LastUse } from '../flight/last-use.ts';

export function lastUseOfActions(store: Pick<Store, 'touchActions'>): LastUse<ActionName> {
  return new LastUse(
    (actions, nowMs) => store.touchActions({ actions, nowMs }),
    ({ namespace, actionId }) => `${namespace} ${actionId}`,
  );
}
