/** What the store holds, by kind. */

import type { EntryKind } from '../core/entry-kind.ts';
import type { Status, StoreFigures } from '../core/status.ts';
import { count, counted, size } from './format.ts';

const NAMES: Readonly<Record<EntryKind, string>> = {
  zip: 'Module zips',
  mod: 'go.mod files',
  info: 'Version infos',
  query: 'Branches and commits',
  list: 'Version lists',
  latest: 'Latest versions',
  sumdb: 'Checksums',
  vulndb: 'Vulnerability reports',
  other: 'Others',
};

export function Store({ status }: { readonly status: Status }) {
  const { store } = status;
  return (
    <section aria-labelledby="store">
      <h2 id="store">Store</h2>
      {store === undefined ? <p class="empty">The store is being counted.</p> : <Figures store={store} />}
    </section>
  );
}

function Figures({ store }: { readonly store: StoreFigures }) {
  const { fileBytes, freeBytes, walBytes, kinds, buildCache, absent, limit } = store;
  const rows = [
    ...kinds.map(({ kind, entries, bytes }) => ({ name: NAMES[kind], entries, bytes })),
    ...(buildCache.outputs === 0
      ? []
      : [{ name: 'Build results', entries: buildCache.outputs, bytes: buildCache.storedBytes }]),
  ];
  const most = Math.max(1, ...rows.map(({ bytes }) => bytes));
  return (
    <>
      <p class="big">
        <strong>{size(fileBytes + walBytes)}</strong> on disk
        {limit !== undefined && `, of ${size(limit.bytesMax)} at most`}
        {freeBytes > 0 && `, ${size(freeBytes)} of it free for new files`}
      </p>
      {limit !== undefined && (
        <progress class="limit" aria-label="Part of the limit" max={limit.bytesMax} value={fileBytes} />
      )}
      {rows.length === 0 ? (
        <p class="empty">Nothing is stored yet. The first request fills it.</p>
      ) : (
        <table>
          <thead>
            <tr>
              <th scope="col">Kind</th>
              <th scope="col" class="number">
                Files
              </th>
              <th scope="col" class="number">
                Size
              </th>
            </tr>
          </thead>
          <tbody>
            {rows.map(({ name, entries, bytes }) => (
              <tr key={name}>
                <th scope="row">
                  {name}
                  <Share part={bytes / most} />
                </th>
                <td class="number">{count(entries)}</td>
                <td class="number">{size(bytes)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      <ul class="notes">
        {limit !== undefined && limit.pinnedBytes > 0 && <li>{size(limit.pinnedBytes)} are pinned</li>}
        {absent > 0 && <li>{counted(absent, 'absent file')} remembered</li>}
        {store.partials > 0 && <li>{counted(store.partials, 'download')} stored in part</li>}
        {store.unchecked > 0 && (
          <li>{counted(store.unchecked, 'file')} not checked against the checksum database yet</li>
        )}
        {store.unconfirmed > 0 && <li>{counted(store.unconfirmed, 'file')} not confirmed by it</li>}
      </ul>
    </>
  );
}

/** A bar below a name; the figures beside it say the same. */
function Share({ part }: { readonly part: number }) {
  return (
    <svg class="share" viewBox="0 0 100 1" preserveAspectRatio="none" aria-hidden="true">
      {part > 0.01 && <rect width={part * 100} height="1" />}
    </svg>
  );
}
