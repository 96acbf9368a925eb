/**
 * The status, asked for again and again while somebody looks: every other second while something happens, else more
 * rarely, and never by a hidden tab.
 */

import { useEffect, useState } from 'preact/hooks';
import { type Status, TOTALS } from '../core/status.ts';
import { getJson } from './get-json.ts';

const BUSY_MS = 2_000;
const IDLE_MS = 5_000;
const FAILED_MS = 10_000;

export type Live = {
  readonly status: Status | undefined;
  /** The look before, for rates. */
  readonly before: Status | undefined;
  /** Why the last look failed; the status is then the one from before. */
  readonly trouble: string | undefined;
};

export function useLive(): Live {
  const [live, setLive] = useState<Live>({ status: undefined, before: undefined, trouble: undefined });
  useEffect(() => watch(setLive), []);
  return live;
}

/** Looks until the function that it gives back is called. */
function watch(setLive: (change: (live: Live) => Live) => void): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let last: Status | undefined;
  const look = async () => {
    clearTimeout(timer);
    timer = undefined;
    if (document.hidden) return;
    let waitMs = FAILED_MS;
    try {
      const status = await getJson<Status>('status/now.json');
      waitMs = isBusy(status, last) ? BUSY_MS : IDLE_MS;
      last = status;
      setLive((live) => ({ status, before: live.status, trouble: undefined }));
    } catch (error) {
      setLive((live) => ({ ...live, trouble: error instanceof Error ? error.message : String(error) }));
    }
    clearTimeout(timer);
    timer = setTimeout(look, waitMs);
  };
  const wake = () => void look();
  document.addEventListener('visibilitychange', wake);
  wake();
  return () => {
    clearTimeout(timer);
    document.removeEventListener('visibilitychange', wake);
  };
}

function isBusy(status: Status, last: Status | undefined): boolean {
  if (last === undefined || status.open.requests > 0 || status.downloads.shown.length > 0) return true;
  return TOTALS.some((name) => status.total[name] !== last.total[name]);
}
