/**
 * The keys of an OIDC issuer, out of the document that its metadata names. They are read when a token first needs them,
 * then again from time to time, and when a token has a key that is not known: an issuer changes its keys. Between two
 * lookups there is a pause, whatever comes.
 *
 * Follows OpenID Connect Discovery 1.0.
 */

import type { JSONWebKeySet, JWTVerifyGetKey } from 'jose';
import { Busy, messageOf } from '../core/errors.ts';
import type { Clock } from '../core/ports.ts';
import type { IssuerGet } from './issuer-get.ts';
import { ISSUER_KEYS_FRESH_MS, ISSUER_KEYS_KEPT_MS, ISSUER_KEYS_MAX, ISSUER_PAUSE_MS } from './limits.ts';

export type IssuerKeysOptions = {
  /** As tokens name it. */
  readonly issuer: string;
  readonly get: IssuerGet;
  readonly clock: Pick<Clock, 'monotonicMs'>;
  /** Its keys could not be read. */
  readonly onFailure: (why: string) => void;
};

type Keys = { readonly find: JWTVerifyGetKey; readonly readAtMs: number };

export class IssuerKeys {
  readonly #options: IssuerKeysOptions;
  #keys: Keys | undefined;
  #reading: Promise<Keys> | undefined;
  #triedAtMs = -Infinity;

  constructor(options: IssuerKeysOptions) {
    this.#options = options;
  }

  /**
   * The key of a token, by its header; as `jose` asks for it.
   *
   * @throws {Busy} there are no keys now. Rejects as `createLocalJWKSet` where none is the token's
   */
  find: JWTVerifyGetKey = async (header, token) => {
    const { errors } = await import('jose');
    const keys = await this.#current();
    try {
      return await keys.find(header, token);
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey) || !this.#mayRead()) throw error;
      const newer = await this.#read();
      return await newer.find(header, token);
    }
  };

  async #current(): Promise<Keys> {
    const { issuer, clock } = this.#options;
    const ageMs = clock.monotonicMs() - (this.#keys?.readAtMs ?? -Infinity);
    if (this.#keys !== undefined && ageMs < ISSUER_KEYS_FRESH_MS) return this.#keys;
    if (this.#mayRead()) {
      try {
        return await this.#read();
      } catch (error) {
        if (this.#keys === undefined || ageMs >= ISSUER_KEYS_KEPT_MS) throw error;
      }
    }
    if (this.#keys !== undefined && ageMs < ISSUER_KEYS_KEPT_MS) return this.#keys;
    throw new Busy(`cannot check the token: the keys of ${issuer} could not be read just now`);
  }

  #mayRead(): boolean {
    const { clock } = this.#options;
    return this.#reading !== undefined || clock.monotonicMs() - this.#triedAtMs >= ISSUER_PAUSE_MS;
  }

  /** One for all who need it meanwhile. */
  #read(): Promise<Keys> {
    const { issuer, clock, onFailure } = this.#options;
    if (this.#reading === undefined) this.#triedAtMs = clock.monotonicMs();
    this.#reading ??= this.#load()
      .catch((cause: unknown) => {
        const why = `cannot read the keys of ${issuer}: ${messageOf(cause)}`;
        onFailure(why);
        throw new Busy(`cannot check the token: ${why}`, { cause });
      })
      .finally(() => {
        this.#reading = undefined;
      });
    return this.#reading;
  }

  async #load(): Promise<Keys> {
    const { issuer, get, clock } = this.#options;
    const { createLocalJWKSet } = await import('jose');
    const metadata = await get(new URL(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`));
    if (!isObject(metadata) || typeof metadata.jwks_uri !== 'string') throw new Error('it has no jwks_uri');
    if (metadata.issuer !== issuer) throw new Error('its metadata are of another issuer');
    const place = new URL(metadata.jwks_uri);
    // An issuer elsewhere must not lead to a program on this machine that answers by http.
    if (issuer.startsWith('https:') && place.protocol !== 'https:')
      throw new Error('its keys are not at https');
    const set = await get(place);
    if (!isObject(set) || !Array.isArray(set.keys)) throw new Error('it has no keys');
    if (set.keys.length > ISSUER_KEYS_MAX) throw new Error(`it has over ${ISSUER_KEYS_MAX} keys`);
    const keys = { find: createLocalJWKSet(set as unknown as JSONWebKeySet), readAtMs: clock.monotonicMs() };
    this.#keys = keys;
    return keys;
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}
