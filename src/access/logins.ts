/**
 * Whether a login is right, and what it may do.
 *
 * The `go` command sends its login with every request. So a good one is remembered for a time, under a hash by a key that
 * this process alone has; requests that bring the same one meanwhile share one check; and only a few are checked at one
 * time. An address that brings wrong ones gets ever longer pauses in which nothing is checked.
 */

import { hash, randomBytes } from 'node:crypto';
import { Busy, Unauthorized } from '../core/errors.ts';
import { Gate } from '../core/gate.ts';
import { formatIp, plainIp } from '../core/network.ts';
import type { Clock, VerifiedToken } from '../core/ports.ts';
import type { Account, Token, User } from './accounts.ts';
import { type ClaimRule, scopesByClaims } from './claim-rule.ts';
import type { Credentials } from './credentials.ts';
import { Grant } from './grant.ts';
import {
  LOGIN_ADDRESSES_MAX,
  LOGIN_FAILURES_FREE,
  LOGIN_JUST_SEEN_MS,
  LOGIN_PAUSE_MS_MAX,
  LOGIN_REMEMBERED_MS,
  LOGINS_CHECKED_MAX,
  LOGINS_JUST_SEEN_MAX,
  LOGINS_REMEMBERED_MAX,
  LOGINS_WAITING_MAX,
} from './limits.ts';
import type { Scope } from './scope.ts';
import { hashToken, isPassword, NO_PASSWORD } from './secret.ts';

export type LoginsOptions = {
  readonly accounts: readonly Account[];
  readonly clock: Clock;
  /**
   * Checks a token of the OIDC issuer; undefined: there is none. Rejects with Unauthorized where the token is wrong, with
   * Busy where it can't be checked now.
   */
  readonly verifyJwt?: ((token: string) => Promise<VerifiedToken>) | undefined;
  /** A login was wrong; `pauseMs` over 0: its address gets no check for so long. */
  readonly onFailure: (address: string, pauseMs: number) => void;
};

/** An account, and its grant, made once. */
type Known<Kind extends Account> = { readonly account: Kind; readonly grant: Grant };

/** `expiresMs`: wall time, of a token. */
type Remembered = { readonly grant: Grant; readonly untilMs: number; readonly expiresMs: number };
type Attempt = { readonly user: string; readonly password: string; readonly from: string };
type JwtAttempt = {
  readonly token: string;
  readonly from: string;
  readonly verifyJwt: NonNullable<LoginsOptions['verifyJwt']>;
};
type Failures = { readonly count: number; readonly untilMs: number };

export class Logins {
  readonly #options: Omit<LoginsOptions, 'accounts'>;
  /** Makes what is kept of a login worthless elsewhere. */
  readonly #key = randomBytes(32).toString('hex');
  /** By their names. */
  #users: ReadonlyMap<string, Known<User>> = new Map();
  /** By their hashes. */
  #tokens: ReadonlyMap<string, Known<Token>> = new Map();
  /** For tokens of the issuer. */
  #rules: readonly ClaimRule[] = [];
  /** By their hashes under the key. */
  #remembered = new Map<string, Remembered>();
  /** By their texts: the hash costs a fifth of a hot answer. */
  readonly #justSeen = new Map<string, Grant>();
  #justSeenUntilMs = 0;
  readonly #checks = new Map<string, Promise<Grant>>();
  readonly #failures = new Map<string, Failures>();
  readonly #passwords = loginGate();
  /** Apart: an issuer that does not answer holds up no passwords. */
  readonly #jwts = loginGate();

  constructor({ accounts, ...options }: LoginsOptions) {
    this.#options = options;
    this.replace(accounts);
  }

  /** From here on these are the users and tokens; nothing is remembered of those before. */
  replace(accounts: readonly Account[]): void {
    const users = new Map<string, Known<User>>();
    const tokens = new Map<string, Known<Token>>();
    const rules: ClaimRule[] = [];
    for (const account of accounts) {
      if (account.kind === 'oidc') {
        rules.push(account);
        continue;
      }
      const grant = new Grant(account.scopes);
      if (account.kind === 'user') users.set(account.name, { account, grant });
      else tokens.set(account.sha256, { account, grant });
    }
    this.#rules = rules;
    this.#users = users;
    this.#tokens = tokens;
    this.#remembered = new Map();
    this.#justSeen.clear();
    this.#checks.clear();
  }

  /**
   * The rights of a login; at once where it is a token, or a password that was good before.
   *
   * @param address as a client's socket has it; none for a Unix socket
   * @throws {Unauthorized} it is wrong or has expired. @throws {Busy} it can't be checked now
   */
  grantOf(credentials: Credentials, address: Uint8Array): Grant | Promise<Grant> {
    const known = this.recall(credentials.text);
    if (known !== undefined) return known;
    const from = addressKey(address);
    if (credentials.kind === 'malformed')
      throw new Unauthorized('cannot read the login: neither Basic nor Bearer');
    const id = this.#id(credentials.text);
    if (credentials.kind === 'token') return this.#ofToken(id, credentials.token, from);
    this.#demandPatience(from);
    const { user, password } = credentials;
    const work = () => this.#checkPassword(id, { user, password, from });
    return this.#checks.get(id) ?? this.#check(id, this.#passwords, work);
  }

  /** As {@link grantOf}, the scopes alone. */
  scopesOf(credentials: Credentials, address: Uint8Array): readonly Scope[] | Promise<readonly Scope[]> {
    const grant = this.grantOf(credentials, address);
    return grant instanceof Promise ? grant.then(({ scopes }) => scopes) : grant.scopes;
  }

  /**
   * The rights of a login that was good before. Nothing is checked and nothing is counted.
   *
   * @param text of its `Credentials`
   */
  recall(text: string): Grant | undefined {
    const nowMs = this.#options.clock.monotonicMs();
    if (nowMs >= this.#justSeenUntilMs) this.#justSeen.clear();
    return this.#justSeen.get(text) ?? this.#lookUp(text, nowMs);
  }

  /** Forgets the texts of logins: to be called now and then. */
  sweep(): void {
    this.#justSeen.clear();
  }

  #lookUp(text: string, nowMs: number): Grant | undefined {
    const known = this.#remembered.get(this.#id(text));
    if (known === undefined || known.untilMs <= nowMs) return undefined;
    if (known.expiresMs <= this.#options.clock.wallMs()) return undefined;
    if (this.#justSeen.size === 0) this.#justSeenUntilMs = nowMs + LOGIN_JUST_SEEN_MS;
    if (this.#justSeen.size < LOGINS_JUST_SEEN_MAX) this.#justSeen.set(text, known.grant);
    return known.grant;
  }

  #ofToken(id: string, token: string, from: string): Grant | Promise<Grant> {
    // Comparing hashes tells nothing of the token: nobody can choose what hash a guess has.
    const known = this.#tokens.get(hashToken(token));
    if (known !== undefined) {
      const { expiresMs } = known.account;
      // It was good once: whoever sends it guesses nothing.
      if (expiresMs <= this.#options.clock.wallMs()) {
        throw new Unauthorized('cannot log in: the token has expired');
      }
      this.#remember(id, known.grant, expiresMs);
      return known.grant;
    }
    this.#demandPatience(from);
    const { verifyJwt } = this.#options;
    if (verifyJwt !== undefined && isJwt(token)) {
      const work = () => this.#checkJwt(id, { token, from, verifyJwt });
      return this.#checks.get(id) ?? this.#check(id, this.#jwts, work);
    }
    this.#failed(from);
    throw new Unauthorized('cannot log in: no such token');
  }

  /** One check for all who bring the same login meanwhile; a wrong one counts once. */
  #check(id: string, gate: Gate, work: () => Promise<Grant>): Promise<Grant> {
    const check = gate.run(work).finally(() => {
      if (this.#checks.get(id) === check) this.#checks.delete(id);
    });
    this.#checks.set(id, check);
    return check;
  }

  async #checkPassword(id: string, { user, password, from }: Attempt): Promise<Grant> {
    const known = this.#users.get(user);
    // An unknown user takes as long as a wrong password, and gets the same answer.
    const isRight = await isPassword(password, known?.account.password ?? NO_PASSWORD);
    if (!isRight || known === undefined) {
      this.#failed(from);
      throw new Unauthorized('cannot log in: wrong user or password');
    }
    // The file may have been read again meanwhile.
    if (this.#users.get(user) === known) this.#remember(id, known.grant, Infinity);
    return known.grant;
  }

  async #checkJwt(id: string, { token, from, verifyJwt }: JwtAttempt): Promise<Grant> {
    const rules = this.#rules;
    const { claims, expiresMs } = await verifyJwt(token).catch((error: unknown) => {
      if (error instanceof Unauthorized) this.#failed(from);
      throw error;
    });
    const grant = new Grant(scopesByClaims(rules, claims));
    if (this.#rules === rules) this.#remember(id, grant, expiresMs);
    return grant;
  }

  #remember(id: string, grant: Grant, expiresMs: number): void {
    this.#remembered.delete(id);
    const untilMs = this.#options.clock.monotonicMs() + LOGIN_REMEMBERED_MS;
    this.#remembered.set(id, { grant, untilMs, expiresMs });
    dropOldest(this.#remembered, LOGINS_REMEMBERED_MAX);
  }

  /** @throws {Busy} too many logins from there were wrong */
  #demandPatience(from: string): void {
    const failures = this.#failures.get(from);
    if (failures === undefined || failures.count <= LOGIN_FAILURES_FREE) return;
    if (failures.untilMs > this.#options.clock.monotonicMs()) {
      throw new Busy(`cannot check the login: too many wrong ones came from ${from}; try again in a minute`);
    }
  }

  #failed(from: string): void {
    const nowMs = this.#options.clock.monotonicMs();
    const before = this.#failures.get(from);
    const isForgotten = before === undefined || nowMs > before.untilMs + LOGIN_PAUSE_MS_MAX;
    const count = isForgotten ? 1 : before.count + 1;
    const over = count - LOGIN_FAILURES_FREE;
    const pauseMs = over > 0 ? Math.min(1000 * 2 ** over, LOGIN_PAUSE_MS_MAX) : 0;
    this.#failures.delete(from);
    this.#failures.set(from, { count, untilMs: nowMs + pauseMs });
    dropOldest(this.#failures, LOGIN_ADDRESSES_MAX);
    this.#options.onFailure(from, pauseMs);
  }

  /** One call, not an HMAC of several. */
  #id(text: string): string {
    return hash('sha256', this.#key + text);
  }
}

function loginGate(): Gate {
  return new Gate({
    placesMax: LOGINS_CHECKED_MAX,
    queueMax: LOGINS_WAITING_MAX,
    full: 'cannot check the login: too many wait for it',
  });
}

/** The form of a signed JSON Web Token. Ours have no dots. */
function isJwt(token: string): boolean {
  return token.includes('.') && /^[\w-]+\.[\w-]+\.[\w-]+$/.test(token);
}

/** The key that counts a client: its IPv4 address, or its IPv6 network, as one owner has all addresses of that. */
function addressKey(address: Uint8Array): string {
  const plain = plainIp(address);
  if (plain.byteLength === 0) return 'this machine';
  return plain.byteLength === 16 ? `${formatIp(plain.subarray(0, 8))}::/64` : formatIp(plain);
}

function dropOldest(map: Map<string, unknown>, sizeMax: number): void {
  const [oldest] = map.size > sizeMax ? map.keys() : [];
  if (oldest !== undefined) map.delete(oldest);
}
