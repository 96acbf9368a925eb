/** The places that files come from. */

import type { Status } from '../core/status.ts';
import { count, counted, duration, size } from './format.ts';

export function Outside({ status }: { readonly status: Status }) {
  const { upstreams, total, git, server, bucket, store } = status;
  return (
    <section aria-labelledby="outside">
      <h2 id="outside">Sources</h2>
      {server.isOffline && <p class="empty">Offline: nobody is asked.</p>}
      <ul class="states">
        {upstreams.map(({ name, isDown }) => (
          <li key={name}>
            <span class="path">{name}</span>
            <Health isDown={isDown} />
          </li>
        ))}
        {bucket !== undefined && (
          <li>
            <span>Bucket</span>
            <Health isDown={bucket.isDown} />
          </li>
        )}
        {git !== undefined && git.copies > 0 && (
          <li>
            <span>Git</span>
            <span>
              {count(git.copies)} {git.copies === 1 ? 'copy' : 'copies'}, {size(git.bytes)}
            </span>
          </li>
        )}
      </ul>
      {store !== undefined && store.uploads.waiting > 0 && (
        <p class="note">
          {counted(store.uploads.waiting, 'file')} to be written to the bucket
          {store.uploads.oldestAtMs !== undefined &&
            `, the first one for ${duration(status.atMs - store.uploads.oldestAtMs)}`}
        </p>
      )}
      {store !== undefined && store.uploads.refused > 0 && (
        <p class="note bad">{counted(store.uploads.refused, 'file')} refused by the bucket</p>
      )}
      <p class="note">
        {counted(total.upstreamRequests, 'request')} since the start, {count(total.upstreamFailures)} failed,{' '}
        {size(total.upstreamBytes)}
      </p>
      {total.refused > 0 && <p class="note">{counted(total.refused, 'request')} refused by the policy</p>}
    </section>
  );
}

function Health({ isDown }: { readonly isDown: boolean }) {
  return <span class={`state ${isDown ? 'bad' : 'good'}`}>{isDown ? 'not reachable' : 'in order'}</span>;
}
