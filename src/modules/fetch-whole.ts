/** One file fetched for later: asked for as a client would, and read to its end, for nobody. */

import { type Answer, type ByteStream, isFromSource, type Origin } from '../core/answer.ts';
import { BadRequest, NotFound } from '../core/errors.ts';
import { parseResource } from '../core/resource.ts';
import type { ModuleProxy } from './module-proxy.ts';

/**
 * Makes sure that what `key` names is stored, or on its way there.
 *
 * @throws {BadRequest} not the key of a GOPROXY's file
 * @throws {NotFound} the upstream has it not
 * @throws what {@link ModuleProxy.get} throws
 */
export async function fetchWhole(
  modules: Pick<ModuleProxy, 'get'>,
  key: string,
): Promise<{ origin: Origin }> {
  const resource = parseResource(key);
  if (resource === undefined)
    throw new BadRequest(`cannot fetch ${JSON.stringify(key)}: not a module's file`);
  const answer = await modules.get({ resource, key, mayFetch: true, isHead: false, via: undefined });
  if (answer.status !== 200) throw new NotFound(textOf(answer));
  const { body, origin } = answer;
  if (body === undefined || body instanceof Uint8Array) return { origin };
  // Only a body that is just coming must be read to its end.
  if (isFromSource(origin)) await drain(body);
  else body.close?.();
  return { origin };
}

async function drain(body: ByteStream): Promise<void> {
  try {
    for (let offset = 0; ; ) {
      const { byteLength } = await body.at(offset);
      if (byteLength === 0) return;
      offset += byteLength;
    }
  } finally {
    body.close?.();
  }
}

/** The source's own words. */
function textOf({ body }: Answer): string {
  return body instanceof Uint8Array ? Buffer.from(body).toString() : 'not found';
}
