/** The bounds that this room alone keeps. `core/limits.ts` has those of several rooms, and says how to read them. */

import { KiB, MiB } from '../core/limits.ts';

/** A response that takes no bytes is checked again after so long. uWebSockets would cut it off after 11 s of silence. */
export const PUMP_AGAIN_MS = 4_000;

/** The length of a CPU profile, as in `?seconds=`. */
export const PROFILE_SECONDS_MAX = 300;

/** A request's body that nobody reads is thrown away up to here; a longer one is refused, and its connection ends. */
export const UNREAD_BODY_BYTES_MAX = 64 * KiB;

/** Bytes of a request's body that wait for their reader before its socket is paused. At half, a fast line waits for the event loop. */
export const REQUEST_BODY_AHEAD_BYTES = 256 * KiB;

/** A body up to this length begins at once, however many others there are. */
export const SHORT_BODY_BYTES = 64 * KiB;

/** Bytes of all bodies that have come and are not done with: past it no long one begins. At half, packing waits for the line; at double, sixteen machines that put hold 8 MiB more. */
export const REQUEST_BODIES_AHEAD_BYTES = 8 * MiB;

/** A body that may begin or go on counts for the rest of it, but for so many bytes at most and for so long: as much may come at once. At half, twice as many come together; at double, few clients keep others waiting. */
export const REQUEST_BODY_BURST_BYTES = 4 * MiB;
export const REQUEST_BODY_BURST_MS = 20;

/** The most bytes of all bodies that wait for their readers, as a fast client sends some MiB before a pause works. Past it a body is refused with 503. At half, ten fast clients on loopback reach it. */
export const REQUEST_BODY_BYTES_HELD_MAX = 64 * MiB;

/** Without file descriptors, so long no connection is accepted before they are looked for again. At half, more wake-ups; at double, clients wait longer than they need. */
export const DESCRIPTOR_PAUSE_MS = 1_000;
