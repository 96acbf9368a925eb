/** autocannon in a process of its own: one load per message, its outcome sent back. */

import autocannon from 'autocannon';
import type { SteadyLoad, SteadyResult } from './steady-load.ts';

process.on('disconnect', () => process.exit(0));
process.on('message', async ({ url, paths, connections, seconds, etag, headers = {} }: SteadyLoad) => {
  const result = await autocannon({
    url,
    connections,
    duration: seconds,
    requests: paths.map((path) => ({ path: `/${path.replaceAll('!', '%21')}` })),
    headers: etag === undefined ? headers : { ...headers, 'if-none-match': etag },
    timeout: 60,
  });
  process.send?.({
    requests: result.requests.total,
    seconds: result.duration,
    p50Ms: result.latency.p50,
    p99Ms: result.latency.p99,
    maxMs: result.latency.max,
    errors: result.errors + (etag === undefined ? result.non2xx : result.requests.total - result['3xx']),
  } satisfies SteadyResult);
});
