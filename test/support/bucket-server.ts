/** A real S3 server on loopback, versitygw: its buckets are directories, and an object is a file under its key. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { freePort } from './free-port.ts';
import { goTool } from './go-tool.ts';

export const BUCKET_KEYS = { AWS_ACCESS_KEY_ID: 'tester', AWS_SECRET_ACCESS_KEY: 'Very+Secret/Key=' };

export class BucketServer {
  readonly url: string;
  /** Holds a bucket's objects. */
  readonly directory: string;
  readonly #child: ChildProcess;

  /** Resolves when it answers. @param directory where its bucket `bucket` is kept. @param port by default a free one */
  static async start(directory: string, port?: number): Promise<BucketServer> {
    const program = await goTool('github.com/versity/versitygw/cmd/versitygw', 'v1.8.0');
    return BucketServer.#startOn(port ?? (await freePort()), program, directory);
  }

  static async #startOn(port: number, program: string, directory: string): Promise<BucketServer> {
    mkdirSync(join(directory, 'bucket'), { recursive: true });
    const { AWS_ACCESS_KEY_ID: ROOT_ACCESS_KEY, AWS_SECRET_ACCESS_KEY: ROOT_SECRET_KEY } = BUCKET_KEYS;
    const child = spawn(program, ['--port', `127.0.0.1:${port}`, '--quiet', 'posix', directory], {
      env: { ROOT_ACCESS_KEY, ROOT_SECRET_KEY },
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    while (!(await answers(port))) {
      if (child.exitCode !== null) throw new Error(`versitygw ended: ${child.exitCode}`);
      await delay(20);
    }
    return new BucketServer(child, port, join(directory, 'bucket'));
  }

  private constructor(child: ChildProcess, port: number, directory: string) {
    this.#child = child;
    this.url = `http://127.0.0.1:${port}`;
    this.directory = directory;
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill('SIGKILL');
    await once(this.#child, 'exit');
  }
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => settle(true));
    const settle = (isThere: boolean) => {
      socket.destroy();
      resolve(isThere);
    };
    socket.once('error', () => settle(false));
  });
}
