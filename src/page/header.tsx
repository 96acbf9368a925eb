/** Name, version, and whether all is well. */

import type { Status } from '../core/status.ts';
import { duration } from './format.ts';

type HeaderProps = { readonly status: Status | undefined; readonly trouble: string | undefined };

export function Header({ status, trouble }: HeaderProps) {
  const { kind, text } = stateOf(status, trouble);
  return (
    <header>
      <h1>
        Astera <small>{status?.server.version}</small>
      </h1>
      <p class={`state ${kind}`} role="status">
        {text}
      </p>
      {status && (
        <p class="facts">
          up {duration(status.atMs - status.server.startedAtMs)} · listening on {status.server.address}
        </p>
      )}
    </header>
  );
}

function stateOf(status: Status | undefined, trouble: string | undefined): { kind: string; text: string } {
  if (trouble !== undefined) return { kind: 'bad', text: `No new figures: ${trouble}` };
  if (status === undefined) return { kind: 'off', text: 'Asking…' };
  const { server, upstreams, store } = status;
  if (store?.full !== undefined) return { kind: 'bad', text: `Nothing is stored: ${store.full}` };
  if (server.isOffline) return { kind: 'off', text: 'Offline: answers come from the store only' };
  if (upstreams.length > 0 && upstreams.every(({ isDown }) => isDown))
    return { kind: 'warn', text: 'No upstream can be reached: answers come from the store' };
  return { kind: 'good', text: 'Running' };
}
