/** Who may log in: users, tokens and rules of the file that is set, and the OIDC issuer behind the rules. */

import { Logins } from '../access/logins.ts';
import { UsageError } from '../core/usage-error.ts';
import type { Events } from '../observe/events.ts';
import { issuerGet } from '../oidc/issuer-get.ts';
import { JwtVerifier } from '../oidc/jwt-verifier.ts';
import { readAuthFile } from '../settings/auth-file.ts';
import type { Config } from '../settings/config.ts';
import { clock } from './clock.ts';

/**
 * Undefined: nobody can log in.
 *
 * @throws {UsageError} a file of users that can't be read, or none where one is needed; an issuer without an audience
 */
export function openLogins(config: Config, events: Events): Logins | undefined {
  const { authFile } = config;
  const verifyJwt = verifierOf(config, events);
  if (authFile === undefined) {
    if (verifyJwt !== undefined)
      throw new UsageError(
        '--oidc-issuer needs rules for its tokens: set --auth-file, see astera user --claims',
      );
    if (!config.cacheReadNeedsLogin) return undefined;
    throw new UsageError('--cache-read-token wants a token of clients, and there are none: set --auth-file');
  }
  const onFailure = (address: string, pauseMs: number) => events.loginFailed(address, pauseMs);
  return new Logins({ accounts: readAuthFile(authFile), clock, verifyJwt, onFailure });
}

function verifierOf({ oidcIssuer: issuer, oidcAudience: audience, proxyEnv }: Config, events: Events) {
  if (issuer === undefined && audience === undefined) return undefined;
  if (issuer === undefined || audience === undefined)
    throw new UsageError('cannot take tokens of an issuer: --oidc-issuer and --oidc-audience go together');
  const get = issuerGet({
    HTTP_PROXY: proxyEnv.httpProxy,
    HTTPS_PROXY: proxyEnv.httpsProxy,
    NO_PROXY: proxyEnv.noProxy,
  });
  const onFailure = (why: string) => events.issuerFailed(why);
  return new JwtVerifier({ issuer, audience, get, clock, onFailure }).verify;
}
