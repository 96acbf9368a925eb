/** Many real `go` commands at once, each of a machine that has nothing yet. */

import { existsSync } from 'node:fs';
import { freemem, tmpdir } from 'node:os';
import { GoClient } from '../../test/support/go.ts';

/** A client of the small project unpacks 120 MB: forty of them, and the server, beside the rest. */
const MEMORY_WANTED_BYTES = 12e9;

/** Memory, if there is enough of it. Real clients are other machines with disks of their own. */
const SCRATCH = existsSync('/dev/shm') && freemem() > MEMORY_WANTED_BYTES ? '/dev/shm' : tmpdir();

/** Forty collectors at once, each with threads of its own, would be a third of all they do. */
const LEAN = { GOMAXPROCS: '1', GOGC: '400' };

export class GoClients {
  readonly #clients: readonly GoClient[];

  /**
   * @param projects directories; the clients take them in turns
   * @param options `niceness` 19: they take only what the server leaves, as if on machines of their own
   */
  static async create(
    proxy: string,
    { count, projects, niceness = 0 }: { count: number; projects: readonly string[]; niceness?: number },
  ): Promise<GoClients> {
    const options = { under: SCRATCH, niceness, env: LEAN };
    const clients = await Promise.all(Array.from({ length: count }, () => GoClient.create(proxy, options)));
    await Promise.all(clients.map((client, at) => client.takeFrom(projects[at % projects.length] ?? '')));
    return new GoClients(clients);
  }

  private constructor(clients: readonly GoClient[]) {
    this.#clients = clients;
  }

  /** All at once. @returns the number of failures; their messages go to stderr */
  async run(...args: readonly string[]): Promise<number> {
    const results = await Promise.all(this.#clients.map((client) => client.run(...args)));
    const failed = results.filter(({ code }) => code !== 0);
    for (const { stderr } of failed) process.stderr.write(`go ${args.join(' ')}: ${stderr}\n`);
    return failed.length;
  }

  async dispose(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.dispose()));
  }
}
