/** One question to an issuer, by Node's own HTTP, through the HTTP proxy where one is set. */

import type { AgentOptions, IncomingMessage } from 'node:http';
import { collect } from '../core/collect.ts';
import { isLoopbackHost } from '../core/loopback-host.ts';
import { ISSUER_ANSWER_BYTES_MAX, ISSUER_ANSWER_MS } from './limits.ts';

/** HTTP_PROXY and its kin, as variables have them. */
export type ProxyVariables = Readonly<Record<'HTTP_PROXY' | 'HTTPS_PROXY' | 'NO_PROXY', string>>;

/** Gives the JSON of an answer. Rejects where there is no good one. */
export type IssuerGet = (url: URL) => Promise<unknown>;

/** Follows no redirect. */
export function issuerGet(proxyEnv: ProxyVariables): IssuerGet {
  return async (url) => {
    if (!isSafe(url)) throw new Error(`it names ${url.origin}, which is neither https nor on loopback`);
    const { Agent, request } = await (url.protocol === 'https:' ? import('node:https') : import('node:http'));
    // Its types do not know the proxies yet. What is on loopback is never asked through one, as with `go`.
    const options: AgentOptions & { readonly proxyEnv?: ProxyVariables } = isLoopbackHost(url.hostname)
      ? {}
      : { proxyEnv };
    const agent = new Agent(options);
    try {
      const signal = AbortSignal.timeout(ISSUER_ANSWER_MS);
      const response = await new Promise<IncomingMessage>((resolve, reject) => {
        request(url, { agent, signal, headers: { accept: 'application/json' } })
          .on('error', reject)
          .on('response', resolve)
          .end();
      });
      if (response.statusCode !== 200) {
        response.destroy();
        throw new Error(`status ${response.statusCode}`);
      }
      const body = await collect(response, ISSUER_ANSWER_BYTES_MAX);
      if (body === undefined) throw new Error(`an answer of over ${ISSUER_ANSWER_BYTES_MAX} bytes`);
      return JSON.parse(body.toString('utf8'));
    } finally {
      agent.destroy();
    }
  };
}

/** Whether keys from there can be believed: nobody on the way can change them. */
export function isSafe(url: URL): boolean {
  return url.protocol === 'https:' || (url.protocol === 'http:' && isLoopbackHost(url.hostname));
}
