/** The bounds that this room alone keeps. `core/limits.ts` has those of several rooms, and says how to read them. */

/** A look at the server serves all who look within so long. At half, 200 open pages cost twice as much; at double, bars move every other second. */
export const LOOK_MS = 1_000;

/** The store is counted anew after so long, and after so many times as long as it took. At half, one open page keeps a thread busy for a twentieth of its time. */
export const COUNT_MS = 15_000;
export const COUNT_TIMES = 40;

/** The first look waits so long for the store's figures. At half, a store of a few GB has none in it; at double, a page stays empty for too long. */
export const COUNT_WAIT_MS = 1_000;

/** Downloads that are named. At double, a page on a phone has more of them than of anything else. */
export const DOWNLOADS_SHOWN_MAX = 50;

/** Modules, and versions of one, in one answer. At double, an answer has 20 kB. */
export const MODULES_PER_PAGE = 50;
export const VERSIONS_PER_PAGE = 100;

/** Searches that wait for the one that is made. Past it: 503. At half, ten people who type meet it. */
export const SEARCHES_WAITING_MAX = 16;

/** Characters of a search text: as long as the longest path that people use. */
export const SEARCH_LENGTH_MAX = 200;

/** Concerned versions that are named. At double, a page on a phone has more of them than of anything else. */
export const CONCERNED_SHOWN_MAX = 50;

/** They are looked for anew after so long. At half, a page that is always open costs twice as much; at double, a new module is missing for long. */
export const CONCERNED_KEPT_MS = 300_000;
