/**
 * A server may go away without closing its kept connections. Such a connection takes a request and never answers. So a
 * request that has no answer after a while is sent once more, on a fresh connection, and the first answer counts. The
 * first request goes on: perhaps its path is only slow.
 */

import type { Exchange, Head } from './exchange.ts';

export type Headed = { readonly head: Head; readonly exchange: Exchange };

/**
 * @param send sends the request; the second time, if at all, on a fresh connection
 * @param waitMs how long a kept connection may be silent before that
 * @throws the error of the last exchange, if none of them got an answer
 */
export async function headOf(send: (isFresh: boolean) => Exchange, waitMs: number): Promise<Headed> {
  const first = send(false);
  if (!first.isReused) return headed(first);
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), waitMs);
  });
  try {
    const head = await Promise.race([first.head, late]);
    if (head !== undefined) return { head, exchange: first };
  } finally {
    clearTimeout(timer);
  }
  return firstOf(first, send(true));
}

async function firstOf(first: Exchange, second: Exchange): Promise<Headed> {
  const winner = await Promise.any([headed(first), headed(second)]).catch(() => headed(second));
  (winner.exchange === first ? second : first).abort();
  return winner;
}

async function headed(exchange: Exchange): Promise<Headed> {
  return { head: await exchange.head, exchange };
}
