/** Puts an action that came from the bucket into the store, where its output is already. */

import { STORED_MAIN } from '../core/cache-id.ts';
import { ACTION_NOTE_LENGTH_MAX } from '../core/limits.ts';
import type { Clock } from '../core/ports.ts';
import type { Store } from '../core/store-port.ts';

type KeptAction = {
  readonly actionId: string;
  readonly outputId: string;
  readonly time: string;
  /** Signatures, with spaces between. */
  readonly note: string | undefined;
};

/** @returns false: the store has it with another output. @throws as `Store.putAction` */
export async function keepAction(
  { store, clock }: { readonly store: Pick<Store, 'putAction'>; readonly clock: Clock },
  { actionId, outputId, time, note }: KeptAction,
): Promise<boolean> {
  const put = {
    namespace: STORED_MAIN,
    actionId,
    outputId,
    time,
    isInBucket: true,
    nowMs: clock.wallMs(),
  } as const;
  const notes = notesOf(note);
  const puts = notes.length === 0 ? [put] : notes.map((one) => ({ ...put, note: one }));
  let isKept = true;
  for (const one of puts) isKept = (await store.putAction(one)).outcome !== 'refused';
  return isKept;
}

/** Whoever wrote it may have written anything: a note goes out in a header. */
export function notesOf(note: string | undefined): string[] {
  const parts = (note ?? '').split(' ');
  return parts.filter((part) => /^[\x21-\x7e]+$/.test(part) && part.length <= ACTION_NOTE_LENGTH_MAX);
}
