/** Waits for work for a bounded time. The work goes on when the time is over. */

/** The result of `work`; undefined if `ms` pass or the signal comes before it. Rejects if `work` does so in time. */
export async function within<T>(
  work: Promise<T>,
  ms: number,
  signal: AbortSignal,
): Promise<{ readonly value: T } | undefined> {
  let stop = (): void => {};
  const stopped = new Promise<undefined>((resolve) => {
    stop = () => resolve(undefined);
  });
  const timer = setTimeout(stop, ms);
  signal.addEventListener('abort', stop, { once: true });
  try {
    return await Promise.race([work.then((value) => ({ value })), stopped]);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', stop);
  }
}
