/** The bounds that this room alone keeps. `core/limits.ts` has those of several rooms, and says how to read them. */

/** An index, unpacked. Those of vuln.go.dev have under 2 MB. At double, a hostile database holds up the front for twice as long. */
export const VULN_INDEX_BYTES_MAX = 16 * 1024 * 1024;

/** A report, unpacked. The longest of vuln.go.dev have under 200 kB. */
export const VULN_REPORT_BYTES_MAX = 1024 * 1024;

/** IDs that the database does not have are remembered for as long as a list is fresh. */
export const VULN_UNKNOWN_IDS_MAX = 1_000;

/** Reports that are fetched at one time for the modules in the store, before a client asks for them. */
export const VULN_FETCHES_AHEAD_MAX = 4;

/** Modules that are looked up in the store at one time. At double, clients' reads wait for twice as long. */
export const VULN_LOOKUPS_MAX = 64;

/** Concerned versions that are listed. At double, a hostile database fills twice the memory of who asks. */
export const VULN_ROWS_MAX = 10_000;
