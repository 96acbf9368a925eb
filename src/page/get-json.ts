/** Asks the server for figures. */

const TIMEOUT_MS = 15_000;

/** @throws {Error} why there are none, for people */
export async function getJson<T>(path: string, signal?: AbortSignal): Promise<T> {
  const timeout = AbortSignal.timeout(TIMEOUT_MS);
  const signals = signal === undefined ? timeout : AbortSignal.any([signal, timeout]);
  const answer = await fetch(path, { cache: 'no-store', signal: signals }).catch((error: unknown) => {
    if (signal?.aborted) throw error;
    throw new Error('the server does not answer');
  });
  if (answer.ok) return (await answer.json()) as T;
  if (answer.status === 401) throw new Error('a login is needed: load this page again');
  throw new Error((await answer.text()).trim().slice(0, 300));
}
