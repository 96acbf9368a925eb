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

export class GoDirect {
  readonly #home: string;

  /** @param home a directory with the `.gitconfig` that leads to the repositories */
  constructor(home: string) {
    this.#home = home;
  }

  /** The answers to all queries at one module, in their order. */
  async download(module: string, queries: readonly string[]): Promise<DirectAnswer[]> {
    const out = await this.#go('mod', 'download', '-json', ...queries.map((query) => `${module}@${query}`));
    const said = JSON.parse(`[${out.trim().replaceAll('}\n{', '},{')}]`);
    if (said.length !== queries.length)
      throw new Error(`${said.length} answers to ${queries.length} questions`);
    return said.map((one: Record<string, string>) => {
      if (one.Error !== undefined) return { error: one.Error };
      const [info, goMod] = [readFileSync(one.Info ?? '', 'utf8'), readFileSync(one.GoMod ?? '', 'utf8')];
      return { version: one.Version, info: JSON.parse(info), goMod, sum: one.Sum, origin: one.Origin };
    });
  }

  /** All versions, retracted ones too. */
  async versions(module: string): Promise<readonly string[]> {
    const out = await this.#go('list', '-m', '-versions', '-retracted', '-json', module);
    return out === '' ? [] : (JSON.parse(out).Versions ?? []);
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
    };
    return new Promise((resolve) => {
      execFile('go', args, { cwd, env, maxBuffer: 2 ** 26 }, (_, stdout) => resolve(stdout));
    });
  }
}

/** Writes the `.gitconfig` that leads `https://` names to other places. */
export function writeInsteadOf(home: string, places: Readonly<Record<string, string>>): void {
  mkdirSync(home, { recursive: true });
  const lines = Object.entries(places).map(([name, place]) => `[url "${place}"]\n\tinsteadOf = ${name}\n`);
  writeFileSync(join(home, '.gitconfig'), lines.join(''));
}
