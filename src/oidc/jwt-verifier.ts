/**
 * Checks the tokens of an OIDC issuer, such as a CI gives its jobs: signature, issuer, audience and times. The library is
 * loaded with the first token, as most servers never see one.
 *
 * Only signatures by a key pair count. With `HS256` anybody could sign by the issuer's public key, with `none` by nothing.
 */

import { isServeError, Unauthorized } from '../core/errors.ts';
import type { Clock, VerifiedToken } from '../core/ports.ts';
import { IssuerKeys, type IssuerKeysOptions } from './issuer-keys.ts';
import { CLOCK_LEEWAY_S, TOKEN_AGE_S_MAX } from './limits.ts';

export type JwtVerifierOptions = Omit<IssuerKeysOptions, 'clock'> & {
  readonly clock: Clock;
  /** Whom tokens must be made out to. */
  readonly audience: string;
};

const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA'];

export class JwtVerifier {
  readonly #options: JwtVerifierOptions;
  readonly #keys: IssuerKeys;

  constructor(options: JwtVerifierOptions) {
    this.#options = options;
    this.#keys = new IssuerKeys(options);
  }

  /** @throws {Unauthorized} it is not right, or no longer. @throws {Busy} the issuer's keys can't be had */
  verify = async (token: string): Promise<VerifiedToken> => {
    const { issuer, audience, clock } = this.#options;
    const { jwtVerify, errors } = await import('jose');
    try {
      const { payload } = await jwtVerify(token, this.#keys.find, {
        issuer,
        audience,
        algorithms: ALGORITHMS,
        clockTolerance: CLOCK_LEEWAY_S,
        maxTokenAge: TOKEN_AGE_S_MAX, // Demands `iat`, and refuses one of the future.
        requiredClaims: ['exp'],
        currentDate: new Date(clock.wallMs()),
      });
      return { claims: payload, expiresMs: (payload.exp ?? 0) * 1000 };
    } catch (cause) {
      if (isServeError(cause)) throw cause;
      if (cause instanceof errors.JOSEError) {
        throw new Unauthorized(`cannot log in: the token is not right: ${whyOf(cause)}`, { cause });
      }
      // Its key can't be used, say: the token is to blame, or its issuer.
      throw new Unauthorized('cannot log in: the token can not be checked', { cause });
    }
  };
}

/** Of the library's words, never those of a token. */
function whyOf({ code, message }: { readonly code: string; readonly message: string }): string {
  return message === '' ? code : message;
}
