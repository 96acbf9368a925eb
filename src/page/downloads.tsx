/** Zips that are coming. */

import type { DownloadState, Status } from '../core/status.ts';
import { counted, size } from './format.ts';

type DownloadsProps = { readonly status: Status; readonly before: Status | undefined };

export function Downloads({ status, before }: DownloadsProps) {
  const { shown, more } = status.downloads;
  return (
    <section aria-labelledby="downloads">
      <h2 id="downloads">Downloads</h2>
      {shown.length + more === 0 && <p class="empty">Nothing is being downloaded.</p>}
      <ul class="downloads">
        {shown.map((one) => (
          <Download key={nameOf(one)} one={one} rate={rateOf(one, status, before)} />
        ))}
      </ul>
      {more > 0 && <p class="note">and {counted(more, 'more download')}</p>}
    </section>
  );
}

function Download({ one, rate }: { readonly one: DownloadState; readonly rate: number | undefined }) {
  const { module, version, receivedBytes, sizeBytes } = one;
  return (
    <li>
      <span class="path">
        {module} <small>{version}</small>
      </span>
      <span class="amount">
        {size(receivedBytes)}
        {sizeBytes !== undefined && ` of ${size(sizeBytes)}`}
        {rate !== undefined && <small> {size(rate)}/s</small>}
      </span>
      <progress
        aria-label={nameOf(one)}
        {...(sizeBytes !== undefined && { max: Math.max(1, sizeBytes), value: receivedBytes })}
      />
    </li>
  );
}

function nameOf({ module, version }: DownloadState): string {
  return `${module}@${version}`;
}

/** Bytes a second since the look before. */
function rateOf(one: DownloadState, now: Status, before: Status | undefined): number | undefined {
  const earlier = before?.downloads.shown.find((other) => nameOf(other) === nameOf(one));
  if (earlier === undefined || before === undefined || now.atMs <= before.atMs) return undefined;
  return Math.max(0, ((one.receivedBytes - earlier.receivedBytes) / (now.atMs - before.atMs)) * 1000);
}
