/**
 * The refs of a repository as its server lists them: HEAD, branches and tags, each with its commit.
 *
 * Sums over them stand in a module's `Origin`, so that the `go` command can tell whether an answer still holds. Follows
 * loadRefs, Tags and repoSum of cmd/go/internal/modfetch/codehost/git.go.
 */

import { createHash } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import { canonicalOf, isPseudoText } from './semver.ts';

/** A tag's name and the commit that it leads to, annotated or not. */
export type Tag = { readonly name: string; readonly hash: string };

export class RemoteRefs {
  /** By their full names, `HEAD` among them. */
  readonly #hashes: ReadonlyMap<string, string>;
  #sum: string | undefined;
  #refs: readonly Tag[] | undefined;
  #tags: readonly Tag[] | undefined;
  #tagsOf: ReadonlyMap<string, readonly Tag[]> | undefined;
  readonly #tagSums = new Map<string, string>();

  private constructor(hashes: ReadonlyMap<string, string>) {
    this.#hashes = hashes;
  }

  /**
   * From the output of `git ls-remote`. A line that is none is left out, as are refs that are neither HEAD, branch nor tag,
   * and names that Git takes for none: the server may write anything, and a name becomes a part of a refspec.
   */
  static async parse(output: Uint8Array): Promise<RemoteRefs> {
    const hashes = new Map<string, string>();
    const text = new TextDecoder().decode(output);
    let lines = 0;
    for (let from = 0; from < text.length; ) {
      const newline = text.indexOf('\n', from);
      const end = newline < 0 ? text.length : newline;
      const [hash, name] = fieldsOf(text.slice(from, end));
      if (hash !== undefined && name !== undefined && isRefName(name)) hashes.set(name, hash);
      from = end + 1;
      // 100,000 refs must not hold up everybody else.
      if (++lines % LINES_PER_TURN === 0) await setImmediate();
    }
    for (const [name, hash] of [...hashes]) {
      if (!name.endsWith('^{}')) continue;
      hashes.set(name.slice(0, -3), hash);
      hashes.delete(name);
    }
    return new RemoteRefs(hashes);
  }

  /** The commit of a ref by its full name. */
  get(name: string): string | undefined {
    return this.#hashes.get(name);
  }

  /** Its hashes have 64 digits. Undefined if there is no ref at all. */
  get isSha256(): boolean | undefined {
    const [first] = this.#hashes.values();
    return first === undefined ? undefined : first.length === 64;
  }

  /** The refs whose hash begins so. */
  startingWith(hash: string): { readonly name: string; readonly hash: string }[] {
    return [...this.#hashes]
      .filter(([, one]) => one.startsWith(hash))
      .map(([name, one]) => ({ name, hash: one }));
  }

  /** The tags whose names begin so, in the order of their bytes. */
  tags(prefix: string): Tag[] {
    this.#tags ??= this.#sorted()
      .filter(({ name }) => name.startsWith(TAGS))
      .map(({ name, hash }) => ({ name: name.slice(TAGS.length), hash }));
    return this.#tags.filter(({ name }) => name.startsWith(prefix));
  }

  /** The names of the tags that lead to a commit, in the order of their bytes. */
  tagsOf(hash: string): readonly string[] {
    this.#tagsOf ??= Map.groupBy(this.tags(''), (tag) => tag.hash);
    return this.#tagsOf.get(hash)?.map(({ name }) => name) ?? [];
  }

  /** A checksum of the tags with a prefix that can be versions: they decide what pseudo-versions are made from. */
  tagSum(prefix: string): string {
    const known = this.#tagSums.get(prefix);
    if (known !== undefined) return known;
    const directory = prefix.slice(0, prefix.lastIndexOf('/') + 1);
    const counted = this.tags(prefix).filter(({ name }) => isVersionTag(name.slice(directory.length)));
    const sum = `t1:${sumOf(counted)}`;
    if (this.#tagSums.size >= TAG_SUMS_MAX) this.#tagSums.clear();
    this.#tagSums.set(prefix, sum);
    return sum;
  }

  /** A checksum of all refs: it is what the absence of a version depends on. */
  repositorySum(): string {
    this.#sum ??= `r1:${sumOf(this.#sorted())}`;
    return this.#sum;
  }

  /** All refs in the order of their names' bytes. Made once: a repository may have 100,000. */
  #sorted(): readonly Tag[] {
    this.#refs ??= Array.from(this.#hashes, ([name, hash]) => ({ name, hash })).sort(byBytes);
    return this.#refs;
  }
}

/** Text compares as its bytes do, but for surrogates, which stand for the last characters of all. */
function byBytes({ name: a }: Tag, { name: b }: Tag): number {
  if (SURROGATE.test(a) || SURROGATE.test(b)) return Buffer.compare(Buffer.from(a), Buffer.from(b));
  return a < b ? -1 : Number(a > b);
}

const SURROGATE = /[\ud800-\udfff]/;

/** The hash and the name of a ref; nothing if the line is none. */
function fieldsOf(line: string): readonly (string | undefined)[] {
  const plain = PLAIN_LINE.exec(line);
  if (plain !== null) return [plain[1], plain[2]];
  const fields = line.split(/[\s\u0085]+/).filter((field) => field !== '');
  const [hash, name] = fields;
  return fields.length === 2 && hash !== undefined && HASH.test(hash) ? [hash, name] : [];
}

function isRefName(name: string): boolean {
  if (name === 'HEAD') return true;
  return PLAIN_NAME.test(name) ? !name.includes('.lock') || NAME.test(name) : NAME.test(name);
}

/** Prefixes of tags, one for each module of a repository, whose sums are remembered. */
const TAG_SUMS_MAX = 64;

/** Refs that are read in one turn of the event loop: 1 ms of work. */
const LINES_PER_TURN = 2_000;

const TAGS = 'refs/tags/';
/** A branch or tag by the rules of git-check-ref-format(1), and perhaps the mark of a peeled tag. */
const NAME =
  /^refs\/(?:heads|tags)(?:\/(?!\.)(?:(?!\.\.|@\{|\.lock(?:\/|$|\^))[^\p{Cc}\s/~^:?*[\\])+)+(?<!\.)(?:\^\{\})?$/u;
/** Most lines and most names: the whole rules take ten times as long. */
const PLAIN_LINE = /^([0-9a-f]{40}|[0-9a-f]{64})[\t ]([!-~]+)$/;
const PLAIN_NAME = /^refs\/(?:heads|tags)(?:\/[A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*)+(?:\^\{\})?$/;
const HASH = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/;

function isVersionTag(name: string): boolean {
  const version = canonicalOf(name);
  return version !== undefined && name.startsWith(version) && !isPseudoText(name);
}

function sumOf(refs: readonly Tag[]): string {
  const hash = createHash('sha256');
  let lines = '';
  for (const { name, hash: commit } of refs) {
    lines += `${quoteAsGo(name)} ${commit}\n`;
    if (lines.length < 65_536) continue;
    hash.update(lines);
    lines = '';
  }
  return hash.update(lines).digest('base64');
}

/** Go's %q of a ref's name, which has no control character, space or backslash. */
function quoteAsGo(name: string): string {
  if (/^[#-~]+$/.test(name)) return `"${name}"`;
  const escaped = name.replace(/"/g, '\\"').replace(/[\p{C}\p{Z}]/gu, (one) => {
    const code = one.codePointAt(0) ?? 0;
    return code > 0xffff
      ? `\\U${code.toString(16).padStart(8, '0')}`
      : `\\u${code.toString(16).padStart(4, '0')}`;
  });
  return `"${escaped}"`;
}
