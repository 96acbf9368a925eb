/** Waiting for something that goes on behind when it takes too long. */

/** What `work` brings; undefined where it takes longer than `ms`, or than the signal. Rejects as `work` does in time. */
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
