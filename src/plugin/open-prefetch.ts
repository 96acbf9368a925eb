/** Joins a prefetch to what it comes from: packs of a bucket, or a server's stream, and how that is unpacked. */

import type { IncomingMessage } from 'node:http';
import { stream, zlib } from '../core/node-modules.ts';
import { SHORT_ID_BYTES } from '../core/session-port.ts';
import { STREAM_WINDOW_LOG_MAX } from '../core/session-wire.ts';
import { shortId } from '../packs/pack-index.ts';
import { HeldActions } from './held-actions.ts';
import type { LocalCache } from './local-cache.ts';
import type { PluginOptions } from './options.ts';
import type { Packs } from './packs.ts';
import { Prefetch, type PrefetchSource } from './prefetch.ts';
import type { RemoteSessions } from './remote-sessions.ts';
import type { CommandName } from './session-name.ts';
import { SessionStream } from './session-stream.ts';
import { isShareable } from './shareable.ts';
import type { Signatures } from './signatures.ts';

export type PrefetchParts = {
  readonly name: CommandName;
  readonly local: LocalCache;
  readonly sessions?: Pick<RemoteSessions, 'openSession'> | undefined;
  readonly packs?: Pick<Packs, 'open'> | undefined;
  readonly signatures: Pick<Signatures, 'accepts'>;
  readonly options: Pick<PluginOptions, 'prefetchBytesMax' | 'deltas' | 'shareCgo'>;
  readonly now: () => number;
};

export function openPrefetch(parts: PrefetchParts): Prefetch {
  const { local, signatures, options, now } = parts;
  return new Prefetch({
    local,
    bytesMax: options.prefetchBytesMax,
    open: () => open(parts),
    accepts: (row) => signatures.accepts(row, row.note),
    isShareable: (start, path) => isShareable(start, path, options),
    now,
  });
}

/** The actions that commands of the module have used here: a test uses much of what a build has brought. */
export function heldActions({
  name,
  local,
  now,
}: Pick<PrefetchParts, 'name' | 'local' | 'now'>): HeldActions {
  return new HeldActions(local.ownPath(`sessions/${name.module}`), now);
}

async function open(parts: PrefetchParts): Promise<PrefetchSource | undefined> {
  const { name, sessions, packs, options } = parts;
  const noted = heldActions(parts).read();
  if (packs !== undefined) return packs.open(name, noted);
  const held = stillThere(noted, parts.local);
  const { prefetchBytesMax: bytesMax, deltas: takesDeltas } = options;
  const response = await sessions?.openSession(name, { held, bytesMax, takesDeltas });
  if (response === undefined) return undefined;
  const close = () => response.destroy();
  const bytes = unpacked(response);
  if (bytes === undefined) close();
  const apart = new Set<string>();
  const onApart = (ids: Buffer) => {
    for (let at = 0; at + SHORT_ID_BYTES <= ids.length; at += SHORT_ID_BYTES)
      apart.add(ids.toString('hex', at, at + SHORT_ID_BYTES));
  };
  return (
    bytes && {
      close,
      rulesOut: (actionId) => apart.has(shortId(actionId)),
      read: async (sink) => {
        const stream = new SessionStream({ ...sink, onApart });
        for await (const piece of bytes) stream.push(piece);
      },
    }
  );
}

/** The server is told only of what is here: some are looked for, and where one of these is gone, all are. */
function stillThere(actionIds: readonly string[], local: LocalCache): readonly string[] {
  const isThere = (actionId: string) => local.get(actionId) !== undefined;
  const step = Math.max(1, Math.floor(actionIds.length / HELD_LOOKED_FOR));
  const isSound = actionIds.every((actionId, at) => at % step !== 0 || isThere(actionId));
  return isSound ? actionIds : actionIds.filter(isThere);
}

/** Each takes 30 microseconds, and a command has 1,400: a single one that has gone costs a round trip. */
const HELD_LOOKED_FOR = 16;

/** The plain bytes of a stream; undefined where it is packed otherwise than we asked for. */
function unpacked(response: IncomingMessage): AsyncIterable<Buffer> | undefined {
  const { createZstdDecompress, createBrotliDecompress, constants } = zlib();
  const params = { [constants.ZSTD_d_windowLogMax]: STREAM_WINDOW_LOG_MAX };
  const makers = { zstd: () => createZstdDecompress?.({ params }), br: createBrotliDecompress };
  const encoding = response.headers['content-encoding'];
  if (encoding === undefined) return response;
  const decoder = encoding === 'zstd' || encoding === 'br' ? makers[encoding]() : undefined;
  if (decoder === undefined) return undefined;
  return stream().pipeline(response, decoder, () => {}); // What breaks it, its reader is told.
}
