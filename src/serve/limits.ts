/** The bounds that this room alone keeps. `core/limits.ts` has those of several rooms, and says how to read them. */

/** Keys being fetched at one time. A `go mod tidy` has some 20 requests open; at half, forty of them meet 503s. */
export const FETCH_FLIGHTS_MAX = 4096;

/** Clients waiting for one flight. At half, a thousand machines asking for one key meet 503s. */
export const FLIGHT_WAITERS_MAX = 4096;

/** Answers in flight at SIGTERM may take so long. */
export const STOP_GRACE_MS = 10_000;

/** File descriptors that clients' connections leave free: for 48 requests at upstreams, 16 commands, programs and the store's files. Without one left, uWebSockets asks the kernel for the next connection in a loop that takes a core. */
export const DESCRIPTORS_KEPT = 192;
