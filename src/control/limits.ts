/** The bounds that this room alone keeps. `core/limits.ts` has those of several rooms, and says how to read them. */

import { KiB, MiB, SMALL_BYTES_MAX } from '../core/limits.ts';

/** Connections to the control socket at one time. A command has one, and a user rarely runs four commands at once. */
export const CONTROL_CONNECTIONS_MAX = 16;

/** Calls a control connection may have open. At half, a `warm` with 16 fetches open has no room for another command's. */
export const CONTROL_CALLS_MAX = 64;

/** Bytes that one command may have on their way to the server's writer. At half, the writer idles between groups; at double, the server's own writes wait twice as long behind them. */
export const CONTROL_BYTES_IN_FLIGHT_MAX = 4 * MiB;

/** One message on the control socket: the largest small answer and its key. */
export const CONTROL_FRAME_BYTES_MAX = SMALL_BYTES_MAX + 16 * KiB;
