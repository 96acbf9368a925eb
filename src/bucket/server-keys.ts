/**
 * The keys of a server's bucket: variables and the shared file, as the cache program finds them, and else AWS's own chain, which
 * knows roles, SSO, `credential_process`, web identities, and the services of containers and of EC2. Its code is loaded when the
 * first ones have nothing.
 */

import { isServeError, UpstreamDown } from '../core/errors.ts';
import { soon } from '../core/soon.ts';
import { UsageError } from '../core/usage-error.ts';
import { type BucketEnv, type Credentials, lookForCredentials, noCredentials } from './credentials.ts';
import { BUCKET_KEYS_MS } from './limits.ts';

/** Where keys come from. */
export type Keys = {
  /** Those that hold now. @throws {UsageError} there are none @throws {UpstreamDown} whoever has them does not answer */
  get(): Promise<Credentials>;
  /** Looks for others, as the server takes these no more. @returns whether there are. @throws as `get` */
  renew(): Promise<boolean>;
};

/** AWS's own chain. It keeps keys until they are about to run out. Rejects where it finds none. */
export type Chain = (options: { readonly forceRefresh: boolean }) => Promise<Credentials>;

export class ServerKeys implements Keys {
  readonly #env: BucketEnv;
  readonly #loadChain: () => Promise<Chain>;
  #chain: Promise<Chain> | undefined;
  #last: Credentials | undefined;
  #isOfChain = false;

  constructor(env: BucketEnv, loadChain: () => Promise<Chain> = awsChain) {
    this.#env = env;
    this.#loadChain = loadChain;
  }

  /** A chain keeps keys itself, and knows when they run out. */
  async get(): Promise<Credentials> {
    if (this.#isOfChain) return this.#ask(false);
    return this.#last ?? this.#keep(lookForCredentials(this.#env)) ?? this.#ask(false);
  }

  async renew(): Promise<boolean> {
    const before = wordsOf(this.#last);
    const next = this.#keep(lookForCredentials(this.#env)) ?? (await this.#ask(true));
    return wordsOf(next) !== before;
  }

  #keep(found: Credentials | undefined): Credentials | undefined {
    if (found === undefined) return undefined;
    this.#isOfChain = false;
    this.#last = found;
    return found;
  }

  async #ask(forceRefresh: boolean): Promise<Credentials> {
    this.#chain ??= this.#loadChain();
    const chain = await this.#chain;
    try {
      const found = await soon(chain({ forceRefresh }), BUCKET_KEYS_MS);
      if (found === undefined)
        throw new UpstreamDown(`cannot get keys for --bucket: no answer in ${BUCKET_KEYS_MS} ms`);
      this.#isOfChain = true;
      this.#last = found;
      return found;
    } catch (error) {
      if (isServeError(error)) throw error;
      // Its own words may have a command line with secrets in it.
      throw new UsageError(
        `${noCredentials(this.#env)}, or a role, SSO, credential_process or a service that gives keys`,
      );
    }
  }
}

function wordsOf(credentials: Credentials | undefined): string {
  const { accessKeyId, secretAccessKey, sessionToken } = credentials ?? {};
  return JSON.stringify([accessKeyId, secretAccessKey, sessionToken]);
}

async function awsChain(): Promise<Chain> {
  const { defaultProvider } = await import('@aws-sdk/credential-provider-node');
  const provider = defaultProvider();
  return (options) => provider(options);
}
