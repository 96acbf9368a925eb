/**
 * Steady load on some paths of one server: small answers by autocannon, large ones by a sink of our
 * own, each in a process of its own.
 *
 * With `BENCH_LOAD=wrk` by Debian's `wrk` instead, which costs the machine a third of the CPU and so
 * drives a fast server harder; its figures are not to be compared with autocannon's.
 */

import { execFile, spawnSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { inChild } from './child.ts';

export type SteadyLoad = {
  readonly url: string;
  /** Unescaped for `%`: `github.com/!azure/…`. Every connection asks for all of them in turn. */
  readonly paths: readonly string[];
  readonly connections: number;
  readonly seconds: number;
  /** The clients' stored ETag: every answer must be a 304. Not for large ones. */
  readonly etag?: string;
  /** More headers of each request. Not for large ones. */
  readonly headers?: Readonly<Record<string, string>>;
};

export type SteadyResult = {
  readonly requests: number;
  readonly seconds: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  /** Failed requests, and answers of another status than expected. */
  readonly errors: number;
};

/** Load of answers that are small or, where `isLarge`, of some 100 kB and more. */
export function steadyLoad(load: SteadyLoad, { isLarge }: { isLarge: boolean }): Promise<SteadyResult> {
  if (process.env.BENCH_LOAD === 'wrk') return byWrk(load);
  return inChild(isLarge ? 'sink-load-main.ts' : 'steady-load-main.ts', load);
}

/**
 * The load that leaves a server most of the machine: `wrk` if it is installed, else the sink. Asks a
 * list of any length in turns; autocannon prepares every request of every connection beforehand.
 */
export function leanLoad(load: SteadyLoad): Promise<SteadyResult> {
  return hasWrk ? byWrk(load) : inChild('sink-load-main.ts', load);
}

const hasWrk = spawnSync('wrk', ['-v']).error === undefined;

async function byWrk({
  url,
  paths,
  connections,
  seconds,
  etag,
  headers = {},
}: SteadyLoad): Promise<SteadyResult> {
  const directory = await mkdtemp(join(tmpdir(), 'astera-wrk-'));
  try {
    const script = join(directory, 'paths.lua');
    await writeFile(
      script,
      wrkScript(paths, etag === undefined ? headers : { ...headers, 'If-None-Match': etag }),
    );
    const args = ['-t1', `-c${connections}`, `-d${seconds}s`, '--timeout', '60s', '-s', script, url];
    const { stdout } = await promisify(execFile)('wrk', args);
    return JSON.parse(stdout.slice(stdout.lastIndexOf('\n{') + 1)) as SteadyResult;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** Asks for the paths in turn, and says the outcome as JSON. */
function wrkScript(paths: readonly string[], headers: Readonly<Record<string, string>>): string {
  const list = paths.map((path) => JSON.stringify(`/${path.replaceAll('!', '%21')}`)).join(',');
  return `
${Object.entries(headers)
  .map(([name, value]) => `wrk.headers[${JSON.stringify(name)}] = ${JSON.stringify(value)}`)
  .join('\n')}
local requests, at = {${list}}, 0
init = function() for i, path in ipairs(requests) do requests[i] = wrk.format("GET", path) end end
request = function() at = at % #requests + 1; return requests[at] end
done = function(summary, latency)
  local e = summary.errors
  io.write(string.format('\\n{"requests":%d,"seconds":%f,"p50Ms":%f,"p99Ms":%f,"maxMs":%f,"errors":%d}',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    latency.max / 1e3, e.connect + e.read + e.write + e.status + e.timeout))
end
`;
}
