/**
 * `astera ready`: asks a running server at `/readyz` until it is ready. Health checks and deployments wait by it.
 *
 * It speaks http first and https where that is what the server speaks. It checks no certificate: it asks this
 * machine, whose name no certificate has.
 */

import { request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { setTimeout as delay } from 'node:timers/promises';
import { type Address, formatAddress } from '../core/address.ts';
import { messageOf } from '../core/errors.ts';
import { UsageError } from '../core/usage-error.ts';

export type ReadyOptions = {
  /** The address of the server. */
  readonly addr: Address;
  /** How long to ask again; 0: once. */
  readonly waitMs: number;
};

/** Between two questions. */
const AGAIN_MS = 200;

/** An answer that takes longer is none. */
const ANSWER_MS_MAX = 5_000;

/** Of the reason for a 503; the rest is not read. */
const REASON_LENGTH_MAX = 500;

/**
 * Prints the address when the server is ready.
 *
 * @throws {UsageError} an address whose port only the server knows. @throws {Error} it is not ready in time, and why
 */
export async function ready({ addr, waitMs }: ReadyOptions): Promise<void> {
  if (addr.kind === 'tcp' && addr.port === 0) throw new UsageError('cannot ask port 0: set --addr');
  const untilMs = performance.now() + waitMs;
  for (;;) {
    const { url, reason } = await ask(addr);
    if (reason === undefined) {
      process.stdout.write(`ready at ${url}\n`);
      return;
    }
    if (performance.now() >= untilMs) throw new Error(`not ready at ${formatAddress(addr)}: ${reason}`);
    await delay(AGAIN_MS);
  }
}

type Answer = { readonly url: string; readonly reason: string | undefined };

/** `reason`: why it is not ready. */
async function ask(addr: Address): Promise<Answer> {
  const plain = await askBy('http', addr);
  // A server that expects TLS closes the connection, or says what is no HTTP.
  if (plain.reason === undefined || !plain.isForeign) return plain;
  const secure = await askBy('https', addr);
  return secure.isForeign ? plain : secure;
}

/** `isForeign`: whoever answered does not speak this. */
function askBy(scheme: 'http' | 'https', addr: Address): Promise<Answer & { readonly isForeign: boolean }> {
  const target =
    addr.kind === 'unix' ? { socketPath: addr.path } : { host: ownHost(addr.host), port: addr.port };
  const url =
    addr.kind === 'unix'
      ? formatAddress(addr)
      : `${scheme}://${formatAddress({ ...addr, host: ownHost(addr.host) })}`;
  const options = {
    ...target,
    path: '/readyz',
    timeout: ANSWER_MS_MAX,
    rejectUnauthorized: false,
    agent: false,
  };
  return new Promise((resolve) => {
    const request = (scheme === 'http' ? requestHttp : requestHttps)(options, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (piece: string) => {
        if (text.length < REASON_LENGTH_MAX) text += piece;
      });
      response.on('close', () => {
        const isReady = response.statusCode === 200;
        const reason = isReady
          ? undefined
          : `${response.statusCode} ${text.slice(0, REASON_LENGTH_MAX).trim()}`;
        resolve({ url, reason, isForeign: false });
      });
    });
    request.on('timeout', () => request.destroy(new Error(`no answer for ${ANSWER_MS_MAX / 1000} s`)));
    request.on('error', (error: NodeJS.ErrnoException) => {
      const { code = '' } = error;
      resolve({ url, reason: messageOf(error), isForeign: /^(?:HPE_|ERR_SSL|ECONNRESET|EPROTO)/.test(code) });
    });
    request.end();
  });
}

/** Every interface is asked at loopback. */
function ownHost(host: string): string {
  if (host === '' || host === '0.0.0.0') return '127.0.0.1';
  return host === '::' ? '::1' : host;
}
