/** What `connect` goes on with where there is no plugin server: a session of its own over a local directory. */

import { type PluginOptions, readOptions } from './options.ts';
import { PluginCache } from './plugin-cache.ts';
import type { RequestSink } from './request-reader.ts';
import { Session } from './session.ts';

export type AloneDoors = {
  /** Takes answers. */
  readonly write: (text: string) => void;
  /** `close` is asked for. */
  readonly onClose: () => void;
  readonly warn: (line: string) => void;
};

/** The session, and what is left to do for it. */
export type Alone = {
  readonly sink: RequestSink;
  /** When no more requests come: waits for its answers, and answers `close`. */
  end(): Promise<void>;
  /** When `go` has all answers. */
  trim(): Promise<void>;
};

/** @param options the defaults, where there are no settings */
export function openAlone(
  { write, onClose, warn }: AloneDoors,
  options: PluginOptions = readOptions(() => undefined),
): Alone {
  const cache = new PluginCache(options, warn);
  const session = new Session({ cache, write });
  void session.closed.then(onClose);
  return {
    sink: session,
    end: async () => {
      await session.end();
      await cache.close();
      session.answerClose();
    },
    trim: () => cache.trim(),
  };
}
