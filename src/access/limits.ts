/** The bounds that this room alone keeps. `core/limits.ts` has those of several rooms, and says how to read them. */

/** Passwords that are checked at one time, and as many tokens of an issuer: a password takes a thread of Node's pool, 16 MiB and some 100 ms. At double, file work waits behind them. */
export const LOGINS_CHECKED_MAX = 2;

/** Logins that wait for their check; past it 503. At half, forty clients that start together meet it; at double, a guesser's last one waits 10 s. */
export const LOGINS_WAITING_MAX = 64;

/** A good login is not checked again for so long: `go` sends it with every request. */
export const LOGIN_REMEMBERED_MS = 600_000;

/** Good logins that are remembered; past it the oldest is checked again. */
export const LOGINS_REMEMBERED_MAX = 1_024;

/** A good login is known by its text for so long, and by a hash after that. At double, a token that expires is good for another second. */
export const LOGIN_JUST_SEEN_MS = 1_000;

/** Texts of logins in memory. At half, forty clients of several users take the hash each time. */
export const LOGINS_JUST_SEEN_MAX = 64;

/** Wrong logins that an address has free. Each further one doubles the time in which it gets no check: 2 s, 4 s, … */
export const LOGIN_FAILURES_FREE = 5;

/** The longest of these times; an address that is quiet for as long again starts anew. At double, a mistyped `.netrc` locks its user out for longer. */
export const LOGIN_PAUSE_MS_MAX = 60_000;

/** Addresses whose wrong logins are counted; past it the oldest is forgotten. */
export const LOGIN_ADDRESSES_MAX = 4_096;
