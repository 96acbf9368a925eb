/** The `go` command in direct mode: what it makes of a repository is what must come out here too. */

import { execFile } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Its answer to a version or query; of an error only that it is one counts. */
export type DirectAnswer =
  | { readonly error: string }
  | {
      readonly version: string;
      /** The `.info` file that it keeps. */
      readonly info: { readonly Origin: object };
      /** Where the answer to the query is from. */
      readonly origin: object;
      readonly goMod: string;
      /** `h1:…` of the zip. */
      readonly sum: string;
    };

/** A module, and the versions and queries that are asked of it. */
export type Asked = { readonly module: string; readonly queries: readonly string[] };

export class GoDirect {
  readonly #home: string;
  readonly #more: Readonly<Record<string, string>>;

  /**
   * @param home a directory with the `.gitconfig` that leads to the repositories
   * @param more variables of its environment
   */
  constructor(home: string, more: Readonly<Record<string, string>> = {}) {
    this.#home = home;
    this.#more = more;
  }

  /** The answers to all queries, in their order, by the module. One process, as each start costs. */
  async download(asked: readonly Asked[]): Promise<Map<string, DirectAnswer[]>> {
    const args = asked.flatMap(({ module, queries }) => queries.map((query) => `${module}@${query}`));
    const said = objects<Record<string, string>>(await this.#go('mod', 'download', '-json', ...args));
    if (said.length !== args.length) throw new Error(`${said.length} answers to ${args.length} questions`);
    const answers = said.map((one) => {
      if (one.Error !== undefined) return { error: one.Error };
      const [info, goMod] = [readFileSync(one.Info ?? '', 'utf8'), readFileSync(one.GoMod ?? '', 'utf8')];
      return { version: one.Version, info: JSON.parse(info), goMod, sum: one.Sum, origin: one.Origin };
    }) as DirectAnswer[];
    return new Map(asked.map(({ module, queries }) => [module, answers.splice(0, queries.length)]));
  }

  /** All versions of each module, retracted ones too. */
  async versions(modules: readonly string[]): Promise<Map<string, readonly string[]>> {
    const out = await this.#go('list', '-e', '-m', '-versions', '-retracted', '-json', ...modules);
    const said = objects<{ Path: string; Versions?: readonly string[] }>(out);
    return new Map(said.map(({ Path, Versions = [] }) => [Path, Versions]));
  }

  /** Forgets all that it fetched. */
  forget(): void {
    rmSync(join(this.#home, 'modcache'), { recursive: true, force: true });
  }

  #go(...args: readonly string[]): Promise<string> {
    const { PATH } = process.env;
    const cwd = join(this.#home, 'empty');
    mkdirSync(cwd, { recursive: true });
    const env = {
      PATH,
      HOME: this.#home,
      GOENV: 'off',
      GOPROXY: 'direct',
      GONOSUMDB: '*',
      GOFLAGS: '-modcacherw',
      GOTOOLCHAIN: 'local',
      GOVCS: '*:git',
      GOMODCACHE: join(this.#home, 'modcache'),
      GOPATH: join(this.#home, 'path'),
      GOCACHE: join(this.#home, 'cache'),
      ...this.#more,
    };
    return new Promise((resolve) => {
      execFile('go', args, { cwd, env, maxBuffer: 2 ** 26 }, (_, stdout) => resolve(stdout));
    });
  }
}

function objects<T>(json: string): T[] {
  return JSON.parse(`[${json.trim().replaceAll('}\n{', '},{')}]`);
}

/** Writes the `.gitconfig` that leads `https://` names to other places. */
export function writeInsteadOf(home: string, places: Readonly<Record<string, string>>): void {
  mkdirSync(home, { recursive: true });
  const lines = Object.entries(places).map(([name, place]) => `[url "${place}"]\n\tinsteadOf = ${name}\n`);
  writeFileSync(join(home, '.gitconfig'), lines.join(''));
}
