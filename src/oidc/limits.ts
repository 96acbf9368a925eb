/** The bounds that this room alone keeps. `core/limits.ts` says how to read them. */

import { KiB } from '../core/limits.ts';

/** An answer of an issuer: its metadata or its keys. Real ones have under 20 kB. */
export const ISSUER_ANSWER_BYTES_MAX = 256 * KiB;

/** An issuer's whole answer to one question. At half, a poor line's first lookup meets it. */
export const ISSUER_ANSWER_MS = 5_000;

/** Keys of one issuer; real ones have 2 to 10. More are none of it. */
export const ISSUER_KEYS_MAX = 100;

/** An issuer's keys are read again after so long: a key that it withdrew counts no longer then. */
export const ISSUER_KEYS_FRESH_MS = 3_600_000;

/** While an issuer can't be reached, the keys that it had count for so long. */
export const ISSUER_KEYS_KEPT_MS = 86_400_000;

/** Between two lookups of keys, whatever tokens come: anybody can send one with an unknown key. */
export const ISSUER_PAUSE_MS = 10_000;

/** Clocks may differ by so much. */
export const CLOCK_LEEWAY_S = 60;

/** A token that was issued longer ago is refused, whatever it says of its end. */
export const TOKEN_AGE_S_MAX = 86_400;
