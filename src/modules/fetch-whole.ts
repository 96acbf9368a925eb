/** Fetches one file into the store for later, without a client. */

import { type Answer, type ByteStream, endedEarly, isFromSource, type Origin } from '../core/answer.ts';
import { BadRequest, NotFound } from '../core/errors.ts';
import { quote } from '../core/quote.ts';
import { parseResource } from '../core/resource.ts';
import type { ModuleProxy } from './module-proxy.ts';

/**
 * Asks for `key` as a client would, and reads the answer to its end.
 *
 * @returns the origin of the answer. Its file is stored, or its write is under way
 * @throws {BadRequest} `key` is not the key of a GOPROXY's file
 * @throws {NotFound} the source does not have it
 * @throws {Error} the body ended before its end
 * @throws all errors of {@link ModuleProxy.get}
 */
export async function fetchWhole(
  modules: Pick<ModuleProxy, 'get'>,
  key: string,
): Promise<{ origin: Origin }> {
  const resource = parseResource(key);
  if (resource === undefined) throw new BadRequest(`cannot fetch ${quote(key)}: not a module's file`);
  const answer = await modules.get({ resource, key, mayFetch: true, isHead: false, via: undefined });
  if (answer.status !== 200) throw new NotFound(textOf(answer));
  const { body, origin } = answer;
  if (body === undefined || body instanceof Uint8Array) return { origin };
  // Only a body that is still arriving must be read to its end.
  if (isFromSource(origin)) await drain(body);
  else body.close?.();
  return { origin };
}

async function drain(body: ByteStream): Promise<void> {
  try {
    for (let offset = 0; ; ) {
      const { byteLength } = await body.at(offset);
      if (byteLength === 0 && offset !== body.size) throw endedEarly(body, offset);
      if (byteLength === 0) return;
      offset += byteLength;
    }
  } finally {
    body.close?.();
  }
}

/** The text of the source's answer. */
function textOf({ body }: Answer): string {
  return body instanceof Uint8Array ? Buffer.from(body).toString() : 'not found';
}
