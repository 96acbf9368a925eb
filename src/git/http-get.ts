/** One GET of a small page, for the question where a module's repository is. Node's own HTTP is loaded when it is used. */

import type { IncomingMessage } from 'node:http';
import type { HttpAnswer, HttpGet } from './discovery.ts';
import { GO_IMPORT_MS } from './limits.ts';

/** Follows no redirect. Rejects where there is no whole answer in GO_IMPORT_MS. */
export const httpGet: HttpGet = async ({ url, headers, bytesMax }) => {
  const { request } = url.startsWith('https:') ? await import('node:https') : await import('node:http');
  return await new Promise<HttpAnswer>((resolve, reject) => {
    const asked = request(url, { headers, signal: AbortSignal.timeout(GO_IMPORT_MS), agent: false });
    asked.on('error', reject);
    asked.on('response', (response) => {
      readBody(response, bytesMax).then((body) => {
        resolve({ status: response.statusCode ?? 0, location: response.headers.location, body });
      }, reject);
    });
    asked.end();
  });
};

async function readBody(response: IncomingMessage, bytesMax: number): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of response) {
    bytes += piece.length;
    if (bytes > bytesMax) throw new Error(`its page has more than ${bytesMax} bytes`);
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}
