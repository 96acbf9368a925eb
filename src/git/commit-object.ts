/** What is read of commits and files in one go: the answers of `git cat-file --batch`. */

/** One answer; undefined for an object that is not there. */
export type BatchAnswer =
  | { readonly hash: string; readonly type: string; readonly bytes: Buffer }
  | undefined;

/** The answers to `count` questions, in their order. Undefined: the output is not what git writes. */
export function parseBatch(output: Buffer, count: number): BatchAnswer[] | undefined {
  const answers: BatchAnswer[] = [];
  let at = 0;
  while (answers.length < count) {
    const end = output.indexOf(10, at);
    if (end < 0) return undefined;
    const line = output.toString('utf8', at, end);
    at = end + 1;
    const found = /^([0-9a-f]+) ([a-z]+) ([0-9]+)$/.exec(line);
    if (found === null) {
      answers.push(undefined);
      continue;
    }
    const [, hash = '', type = '', digits] = found;
    const size = Number(digits);
    if (at + size + 1 > output.length) return undefined;
    answers.push({ hash, type, bytes: output.subarray(at, at + size) });
    at += size + 1;
  }
  return answers;
}

/** When a commit was made, by its committer; undefined if it does not say, or names a year that no version can have. */
export function commitTime(commit: Buffer): Date | undefined {
  const head = commit.toString('latin1');
  const seconds = /^committer [^\n]*> ([0-9]{1,15})(?: [+-][0-9]+)?$/m.exec(
    head.split('\n\n', 1)[0] ?? '',
  )?.[1];
  const time = new Date(Number(seconds) * 1000);
  return seconds !== undefined && time.getTime() < YEAR_10000_MS ? time : undefined;
}

/** The `go` command writes no `.info` file of that time or later, and its pseudo-version would have a digit too many. */
const YEAR_10000_MS = Date.UTC(10_000, 0);
