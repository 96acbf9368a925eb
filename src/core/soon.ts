/** Waits for work, but not for ever: a build must not stall. The work itself goes on. */

/** The result of `work`; undefined where it takes longer than `waitMs`. */
export async function soon<T>(work: Promise<T>, waitMs: number): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), waitMs);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
