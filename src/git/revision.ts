/** The commit that a query for a version names. */

/** A commit, and the name that led to it. */
export type Revision = {
  /** 40 or 64 hex digits. */
  readonly hash: string;
  /** The tag's name, if the question was one. */
  readonly tag: string | undefined;
  /** The full name of the ref that led here; undefined if the commit was found in the history. */
  readonly ref: string | undefined;
};
