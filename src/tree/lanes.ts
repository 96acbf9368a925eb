/** Concurrent work on a stream of items. */

/**
 * Runs `work` on every item, at most `lanes` at a time. After the first failure no new item is started. The failure is
 * thrown when the items under way have ended.
 */
export async function inLanes<T>(
  items: AsyncIterable<T>,
  lanes: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const iterator = items[Symbol.asyncIterator]();
  const failures: unknown[] = [];
  const lane = async () => {
    while (failures.length === 0) {
      const next = await iterator.next();
      if (next.done === true) return;
      await work(next.value);
    }
  };
  const guarded = () => lane().catch((error: unknown) => failures.push(error));
  await Promise.all(Array.from({ length: lanes }, guarded));
  if (failures.length === 0) return;
  await iterator.return?.();
  throw failures[0];
}
