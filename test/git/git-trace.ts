/** All `git` processes that ran for one home directory, children of `git` itself too: git's own trace2 tells. */

import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export class GitTrace {
  readonly #directory: string;

  /** Adds to the `.gitconfig` of `home`; processes that start later are counted. */
  constructor(home: string) {
    this.#directory = join(home, 'git-trace');
    mkdirSync(this.#directory, { recursive: true });
    writeFileSync(join(home, '.gitconfig'), `[trace2]\n\teventTarget = ${this.#directory}\n`, { flag: 'a' });
  }

  /** What each process was started for, such as `fetch` or `remote-http`, since it was last asked. */
  take(): string[] {
    const names = readdirSync(this.#directory);
    const commands = names.map((name) => commandOf(readFileSync(join(this.#directory, name), 'utf8')));
    for (const name of names) rmSync(join(this.#directory, name));
    return commands.toSorted();
  }
}

/** Git's own name for its command, or the name that it was called by. */
function commandOf(trace: string): string {
  const events = trace
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as { event: string; name?: string; argv?: readonly string[] });
  const start = events.find(({ event }) => event === 'start')?.argv ?? [];
  const name = events.find((event) => event.event === 'cmd_name')?.name ?? '_run_dashed_';
  return name.startsWith('_') ? (start[1] ?? start[0] ?? '') : name;
}
