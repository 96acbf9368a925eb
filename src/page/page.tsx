/** The page: its sections, in the order in which somebody who comes by asks. */

import { BuildCache } from './build-cache.tsx';
import { Connect } from './connect.tsx';
import { Downloads } from './downloads.tsx';
import { Header } from './header.tsx';
import { Hour } from './hour.tsx';
import { useLive } from './live.ts';
import { Modules } from './modules.tsx';
import { Outside } from './outside.tsx';
import { Store } from './store.tsx';
import { Vulnerabilities } from './vulnerabilities.tsx';

export function Page() {
  const { status, before, trouble } = useLive();
  return (
    <>
      <Header status={status} trouble={trouble} />
      <main class={trouble === undefined ? '' : 'stale'}>
        {status === undefined ? (
          <p class="empty">{trouble === undefined ? 'Loading…' : 'No figures yet.'}</p>
        ) : (
          <>
            <Hour status={status} />
            <Downloads status={status} before={before} />
            <div class="columns">
              <Store status={status} />
              <div>
                <Outside status={status} />
                <BuildCache status={status} />
              </div>
            </div>
            <Modules nowMs={status.atMs} />
            <Vulnerabilities />
            <Connect />
          </>
        )}
      </main>
    </>
  );
}
