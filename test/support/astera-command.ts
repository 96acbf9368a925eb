/** `bin/astera` with any command, as a process that may be killed or fed. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { ASTERA, type Exit, withoutProgress } from './astera.ts';

export type AsteraCommandOptions = {
  readonly stdin?: string;
  /** For root: without its right to open any file. */
  readonly isOrdinary?: boolean;
};

/** Not as another user: the checkout may lie where no other user may look. */
const ORDINARY = ['setpriv', '--bounding-set=-dac_override,-dac_read_search'];

export class AsteraCommand {
  readonly child: ChildProcess;
  readonly exited: Promise<Exit>;
  #isOver = false;

  constructor(args: readonly string[], { stdin, isOrdinary = false }: AsteraCommandOptions = {}) {
    const { PATH, HOME, TMPDIR } = process.env;
    const wrapper = isOrdinary && process.getuid?.() === 0 ? ORDINARY : [];
    const [command = ASTERA, ...rest] = [...wrapper, ASTERA, ...args];
    const child = spawn(command, rest, {
      env: { PATH, HOME, TMPDIR },
      stdio: [stdin === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    });
    if (stdin !== undefined) child.stdin?.end(stdin);
    this.child = child;
    this.exited = this.#run(child);
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** Sends `signal` once `isTime`, which is asked all the time, and waits for the end. */
  async stopWhen(isTime: () => boolean, signal: NodeJS.Signals): Promise<Exit> {
    while (!this.#isOver && !isTime()) await new Promise((resolve) => setImmediate(resolve));
    this.child.kill(signal);
    return this.exited;
  }

  async #run(child: ChildProcess): Promise<Exit> {
    const parts = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const) {
      child[name]?.setEncoding('utf8').on('data', (text: string) => {
        parts[name] += text;
      });
    }
    const [code] = (await once(child, 'close')) as [number | null];
    this.#isOver = true;
    return { code, stdout: parts.stdout, stderr: withoutProgress(parts.stderr) };
  }
}
