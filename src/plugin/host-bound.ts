/**
 * Outputs that depend on the host, under `--share-cgo=same-host`: hosts with the same C headers share them.
 *
 * An action's ID says nothing of headers, so such an output is stored under another ID, made of the action's and of the
 * host's hash. The action itself has a mark as its output. Whoever finds the mark asks again, for its own host's: only a
 * build with cgo ever looks at headers.
 */

import { crypto } from '../core/node-modules.ts';
import { type HostEnv, hashHost } from './host-headers.ts';

/** The output that stands for one which depends on the host. */
export const HOST_MARK = Buffer.from('astera: this output depends on the host\n');

/** SHA-256 of the mark. */
export const HOST_MARK_ID = 'a41ffdb0c4db21a7f28846559c6871f8afef79e7adf4d68d07b5cbf72caac981';

export type HostBoundOptions = {
  readonly env: HostEnv;
  /** A file that keeps what is costly to find out. */
  readonly memo: string;
  /** One line for the user. */
  readonly warn: (line: string) => void;
};

export class HostBound {
  readonly #options: HostBoundOptions;
  #hash: Promise<string | undefined> | undefined;

  constructor(options: HostBoundOptions) {
    this.#options = options;
  }

  /** The ID that an action has for this host; undefined where that can't be told. Never rejects. */
  async actionFor(actionId: string): Promise<string | undefined> {
    const { env, memo, warn } = this.#options;
    this.#hash ??= hashHost(env, memo).catch((error: unknown) => {
      const why = error instanceof Error ? error.message : String(error);
      warn(`shares nothing that cgo makes: ${why}`);
      return undefined;
    });
    const host = await this.#hash;
    if (host === undefined) return undefined;
    return crypto()
      .createHash('sha256')
      .update(`astera host-bound action v1\n${actionId}\n${host}\n`)
      .digest('hex');
  }
}
