/**
 * The peer: goproxy, a Go module proxy in Go that serves files from a directory. `bench/goproxy/go.mod` pins it;
 * the ordinary client gets and builds it once, into `.cache/goproxy`.
 */

import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { CHECKOUT } from '../../test/support/corpus.ts';
import { freePort } from '../../test/support/free-port.ts';
import { untilAnswers } from './until-answers.ts';

const PACKAGE = 'github.com/goproxy/goproxy/cmd/goproxy';
const PROGRAM = join(CHECKOUT, '.cache/goproxy/goproxy');

export class Goproxy {
  readonly url: string;
  readonly #child: ChildProcess;
  readonly #directory: string;

  /**
   * @param root the GOPROXY tree that is its cache; symbolic links are followed
   * @throws if `go` cannot build it, or it does not start
   */
  static async start(root: string): Promise<Goproxy> {
    await build();
    const directory = await mkdtemp(join(tmpdir(), 'astera-goproxy-'));
    const address = `127.0.0.1:${await freePort()}`;
    const args = ['server', '--address', address, '--cacher-dir', root, '--temp-dir', directory];
    // Without an upstream, a file that is not in the cache is a 404 at once.
    const env = { PATH: '/usr/bin:/bin', HOME: directory, GOPROXY: 'off', GOSUMDB: 'off' };
    const child = spawn(PROGRAM, args, { stdio: ['ignore', 'ignore', 'inherit'], env });
    await untilAnswers({ url: `http://${address}`, child, name: 'goproxy', hint: 'see bench/README.md' });
    return new Goproxy(child, `http://${address}`, directory);
  }

  private constructor(child: ChildProcess, url: string, directory: string) {
    this.#child = child;
    this.url = url;
    this.#directory = directory;
  }

  get pids(): number[] {
    return [this.#child.pid ?? 0];
  }

  async stop(): Promise<void> {
    this.#child.kill('SIGTERM');
    if (this.#child.exitCode === null) await once(this.#child, 'exit');
    await rm(this.#directory, { recursive: true, force: true });
  }
}

/** `go build` does nothing when the program is there already and up to date. */
async function build(): Promise<void> {
  const cwd = join(CHECKOUT, 'bench/goproxy');
  await promisify(execFile)('go', ['build', '-o', PROGRAM, PACKAGE], { cwd });
}
