/** Makes repositories out of a few lines each, by `git fast-import`: fast, and the same at each run. */

import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';

/** A file's content; `link`: a symbolic link; `exec`: a program; `module`: a submodule's commit. */
export type MadeFile =
  | string
  | Buffer
  | { readonly link: string }
  | { readonly exec: string }
  | { readonly module: string };

export type MadeCommit = {
  /** Default `main`. */
  readonly branch?: string;
  /** Unix time in seconds; default rises by a minute each. */
  readonly time?: number;
  /** Files that are new or changed; undefined removes one. */
  readonly files?: Readonly<Record<string, MadeFile | undefined>>;
  /** Lightweight tags. */
  readonly tags?: readonly string[];
  readonly annotated?: readonly string[];
  /** The tag or branch it follows; default its branch's last commit. `none`: it has no parent. */
  readonly from?: string;
  /** A second parent. */
  readonly merge?: string;
};

const START = 1_600_000_000;

/** Makes a bare repository with these commits. */
export function makeRepository(
  directory: string,
  commits: readonly MadeCommit[],
  { format = 'sha1', head = 'main' }: { format?: string; head?: string } = {},
): void {
  mkdirSync(directory, { recursive: true });
  git(['init', '-q', '--bare', `--object-format=${format}`, '-b', head, directory]);
  git(['--git-dir', directory, 'config', 'uploadpack.allowFilter', 'true']);
  const pieces: (string | Buffer)[] = [];
  const marks = new Map<string, number>();
  let mark = 0;
  for (const commit of commits) {
    const { branch = 'main', files = {}, tags = [], annotated = [], from, merge } = commit;
    const time = commit.time ?? START + mark * 60;
    const own = ++mark;
    const parent = from === 'none' ? undefined : marks.get(from ?? branch);
    pieces.push(...(from === 'none' ? [`reset refs/heads/${branch}\n\n`] : []));
    pieces.push(
      `commit refs/heads/${branch}\nmark :${own}\ncommitter T <t@corp.example> ${time} +0100\n`,
      data(`commit ${own}`),
    );
    if (parent !== undefined) pieces.push(`from :${parent}\n`);
    if (merge !== undefined) pieces.push(`merge :${marks.get(merge)}\n`);
    for (const [path, file] of Object.entries(files)) pieces.push(change(path, file));
    for (const tag of tags) pieces.push(`reset refs/tags/${tag}\nfrom :${own}\n\n`);
    for (const tag of annotated)
      pieces.push(
        `tag ${tag}\nfrom :${own}\ntagger T <t@corp.example> ${time + 5} +0000\n`,
        data(`tag ${tag}`),
      );
    for (const name of [branch, ...tags, ...annotated]) marks.set(name, own);
  }
  const input = Buffer.concat(pieces.map((piece) => Buffer.from(piece)));
  git(['--git-dir', directory, 'fast-import', '--quiet', '--force', '--date-format=raw-permissive'], input);
}

/** The output of a `git` command on a repository. */
export function gitIn(directory: string, ...args: readonly string[]): string {
  return git(['--git-dir', directory, ...args]).trim();
}

function git(args: readonly string[], input?: Buffer): string {
  const { PATH } = process.env;
  const identity = {
    GIT_AUTHOR_NAME: 'T',
    GIT_AUTHOR_EMAIL: 't@corp.example',
    GIT_COMMITTER_NAME: 'T',
    GIT_COMMITTER_EMAIL: 't@corp.example',
  };
  const env = { PATH, HOME: '/nonexistent', GIT_CONFIG_NOSYSTEM: '1', ...identity };
  return execFileSync('git', args, {
    env,
    maxBuffer: 2 ** 28,
    ...(input === undefined ? {} : { input }),
  }).toString();
}

function data(content: string | Buffer): Buffer {
  const bytes = Buffer.from(content);
  return Buffer.concat([Buffer.from(`data ${bytes.length}\n`), bytes, Buffer.from('\n')]);
}

function change(path: string, file: MadeFile | undefined): Buffer {
  const quoted = /^[\w./-]+$/.test(path) ? path : `"${path.replace(/["\\]/g, '\\$&').replace(/\n/g, '\\n')}"`;
  if (file === undefined) return Buffer.from(`D ${quoted}\n`);
  if (typeof file === 'string' || Buffer.isBuffer(file)) return inline('100644', quoted, file);
  if ('link' in file) return inline('120000', quoted, file.link);
  if ('exec' in file) return inline('100755', quoted, file.exec);
  return Buffer.from(`M 160000 ${file.module} ${quoted}\n`);
}

function inline(mode: string, path: string, content: string | Buffer): Buffer {
  return Buffer.concat([Buffer.from(`M ${mode} inline ${path}\n`), data(content)]);
}
