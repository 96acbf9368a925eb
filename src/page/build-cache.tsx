/** The build cache: what it holds, and how often it helps. */

import type { Status } from '../core/status.ts';
import { percent, sumOf, sumOfMinutes } from '../core/status-figures.ts';
import { count, counted, size } from './format.ts';

const GETS = ['buildHits', 'buildMisses'] as const;

export function BuildCache({ status: { hour, total, store } }: { readonly status: Status }) {
  const asked = sumOf(total, GETS);
  const inHour = sumOfMinutes(hour, GETS);
  const results = store?.buildCache;
  return (
    <section aria-labelledby="build">
      <h2 id="build">Build cache</h2>
      {asked === 0 && (results === undefined || results.actions === 0) ? (
        <p class="empty">No machine shares its build results yet.</p>
      ) : (
        <dl class="pairs">
          <dt>Found, last hour</dt>
          <dd>
            {percent(sumOfMinutes(hour, ['buildHits']), inHour) ?? '–'}{' '}
            <small>of {counted(inHour, 'get')}</small>
          </dd>
          <dt>Found, since start</dt>
          <dd>
            {percent(total.buildHits, asked) ?? '–'} <small>of {counted(asked, 'get')}</small>
          </dd>
          <dt>New, last hour</dt>
          <dd>{count(sumOfMinutes(hour, ['buildPuts']))}</dd>
          {results && (
            <>
              <dt>Results</dt>
              <dd>
                {count(results.outputs)}{' '}
                <small>
                  {size(results.bytes)}, stored in {size(results.storedBytes)}
                </small>
              </dd>
            </>
          )}
        </dl>
      )}
    </section>
  );
}
