/** `/cache/session/…`: what a `go` command will ask the build cache for. The wire: `core/session-wire.ts`. */

import type { CacheRight } from '../access/cache-right.ts';
import type { Sessions } from '../buildcache/sessions.ts';
import { type StreamEncoding, streamEncodingOf } from '../buildcache/stream-encoding.ts';
import { CACHE_PREFIX } from '../core/build-cache-wire.ts';
import { BadRequest } from '../core/errors.ts';
import { SESSION_ACTIONS_MAX, SESSION_LABEL_LENGTH_MAX } from '../core/limits.ts';
import { SHORT_ID_BYTES } from '../core/session-port.ts';
import {
  APART_HEADER,
  DELTA_FORM,
  DELTA_HEADER,
  isLabel,
  isSessionKey,
  LABEL_HEADER,
  PACKED_FORM,
  PACKED_HEADER,
  PREFETCH_HEADER,
  PROJECT_HEADER,
  SESSIONS_PATH,
} from '../core/session-wire.ts';
import { searched, storedNamespace } from './cache-namespaces.ts';
import { type Endpoint, READ_ONLY, type Route } from './endpoint.ts';
import { type Asked, namespaceRoute } from './namespace-route.ts';
import type { Responder } from './respond.ts';
import type { Target } from './target.ts';

export type SessionEndpointOptions = {
  readonly sessions: Pick<Sessions, 'put' | 'stream' | 'list'>;
  readonly right: Pick<CacheRight, 'demandRead' | 'demandWrite'>;
};

const PREFIX = `${CACHE_PREFIX}session/`;

const LIST = SESSIONS_PATH.slice(1);
const METHODS: readonly string[] = ['POST', 'PUT'];

export class SessionEndpoint implements Endpoint {
  readonly #options: SessionEndpointOptions;

  constructor(options: SessionEndpointOptions) {
    this.#options = options;
  }

  route({ path }: Target): Route | undefined {
    if (path === LIST) return this.#list();
    if (!path.startsWith(PREFIX)) return undefined;
    const key = path.slice(PREFIX.length);
    if (!isSessionKey(key)) throw new BadRequest('cannot find session: a key is 64 lower-case hex digits');
    const { right } = this.#options;
    return namespaceRoute({
      name: 'cache-session',
      methods: METHODS,
      bodyBytesMax: SESSION_ACTIONS_MAX * SHORT_ID_BYTES,
      demand: (request, method) =>
        method === 'PUT' ? right.demandWrite(request) : right.demandRead(request),
      read: readHeaders,
      answer: (asked, responder) => this.#answer(asked, responder, key),
    });
  }

  #list(): Route {
    const { sessions, right } = this.#options;
    return namespaceRoute({
      name: 'cache-session',
      methods: READ_ONLY,
      demand: (request) => right.demandRead(request),
      read: () => undefined,
      answer: async ({ client, namespace }, responder) => {
        const told = JSON.stringify(await sessions.list(searched(namespace)));
        responder.text(client, 200, `${told}\n`, { route: 'cache-session' });
      },
    });
  }

  async #answer(
    { client, namespace, said }: Asked<SessionHeaders>,
    responder: Responder,
    key: string,
  ): Promise<void> {
    const { sessions } = this.#options;
    const shortIds = await client.takenBody.whole();
    if (shortIds.byteLength % SHORT_ID_BYTES !== 0)
      throw new BadRequest('cannot read session: a short ID is cut');
    const { project, label, apart, bytesMax, takesDeltas, takesPacked } = said;
    if (client.method === 'PUT') {
      const name = { key, project, label, namespace: storedNamespace(namespace) };
      await sessions.put({ ...name, actions: shortIds, apart });
      responder.text(client, 201, 'noted\n', { route: 'cache-session' });
      return;
    }
    const { body, encoding } = await sessions.stream({
      key,
      project,
      namespaces: searched(namespace),
      bytesMax,
      encoding: said.encoding,
      takesDeltas,
      takesPacked,
      takesApart: apart > 0,
      held: shortIds,
    });
    client.visibility = 'private';
    const lines = encoding === 'identity' ? [] : [`Content-Encoding: ${encoding}`];
    responder.answer(client, {
      kind: 'output',
      status: 200,
      origin: 'store',
      size: undefined,
      sha256: undefined,
      lines,
      body,
    });
  }
}

type SessionHeaders = {
  readonly project: string;
  readonly label: string;
  readonly apart: number;
  readonly bytesMax: number;
  readonly encoding: StreamEncoding;
  readonly takesDeltas: boolean;
  readonly takesPacked: boolean;
};

/** @throws {BadRequest} a malformed header */
function readHeaders(header: (name: string) => string): SessionHeaders {
  const project = header(PROJECT_HEADER);
  const label = header(LABEL_HEADER);
  const [bytesMax, apart] = [header(PREFETCH_HEADER) || '0', header(APART_HEADER) || '0'];
  const areNumbers = /^\d{1,15}$/.test(bytesMax) && /^\d{1,6}$/.test(apart);
  if (!isSessionKey(project) || !isLabel(label, SESSION_LABEL_LENGTH_MAX) || !areNumbers)
    throw new BadRequest(
      `cannot read session: ${PROJECT_HEADER}, ${LABEL_HEADER}, ${APART_HEADER} or ${PREFETCH_HEADER} is malformed`,
    );
  return {
    project,
    label,
    apart: Number(apart),
    bytesMax: Number(bytesMax),
    encoding: streamEncodingOf(header('accept-encoding')),
    takesDeltas: header(DELTA_HEADER) === DELTA_FORM,
    takesPacked: header(PACKED_HEADER) === PACKED_FORM,
  };
}
