/** The places that files come from. */

import type { Status } from '../core/status.ts';
import { count, counted, size } from './format.ts';

export function Outside({ status }: { readonly status: Status }) {
  const { upstreams, total, git, server } = status;
  return (
    <section aria-labelledby="outside">
      <h2 id="outside">Upstreams</h2>
      {server.isOffline && <p class="empty">Offline: nobody is asked.</p>}
      <ul class="states">
        {upstreams.map(({ name, isDown }) => (
          <li key={name}>
            <span class="path">{name}</span>
            <span class={`state ${isDown ? 'bad' : 'good'}`}>{isDown ? 'not reachable' : 'in order'}</span>
          </li>
        ))}
        {git !== undefined && git.copies > 0 && (
          <li>
            <span>Git</span>
            <span>
              {count(git.copies)} {git.copies === 1 ? 'copy' : 'copies'}, {size(git.bytes)}
            </span>
          </li>
        )}
      </ul>
      <p class="note">
        {counted(total.upstreamRequests, 'request')} since the start, {count(total.upstreamFailures)} failed,{' '}
        {size(total.upstreamBytes)}
      </p>
      {total.refused > 0 && <p class="note">{counted(total.refused, 'request')} refused by the policy</p>}
    </section>
  );
}
