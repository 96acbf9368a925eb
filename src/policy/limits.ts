/** The bounds of a policy. */

/** Patterns of one policy. At half, a database of advisories does not fit; at double, those with stars cost each cold request 20 ms. */
export const POLICY_PATTERNS_MAX = 20_000;

/** Bytes of the file of `--policy`: room for so many patterns with their reasons. */
export const POLICY_FILE_BYTES_MAX = 4 * 1024 * 1024;

/** Characters of the reason behind a pattern. The `go` command shows 648 bytes in all. */
export const REASON_LENGTH_MAX = 240;

/** The longest age that can be asked for: ten years. */
export const AGE_MS_MAX = 3_660 * 86_400_000;
