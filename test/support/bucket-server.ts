/** A real S3 server on loopback, versitygw: its buckets are directories, and an object is a file under its key. */

import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { CHECKOUT } from './corpus.ts';
import { freePort } from './free-port.ts';

const VERSION = 'v1.8.0';
/** It stays: compiling it takes minutes where Go's own cache is empty. */
const TOOLS = join(CHECKOUT, 'node_modules/.cache/versitygw', VERSION);
/** For all of that, on a machine of two cores that has other work. */
const INSTALL_MS_MAX = 900_000;

export const BUCKET_KEYS = { AWS_ACCESS_KEY_ID: 'tester', AWS_SECRET_ACCESS_KEY: 'Very+Secret/Key=' };

export class BucketServer {
  readonly url: string;
  /** Holds a bucket's objects. */
  readonly directory: string;
  readonly #child: ChildProcess;

  /** Resolves when it answers. @param directory where its bucket `bucket` is kept. @param port by default a free one */
  static async start(directory: string, port?: number): Promise<BucketServer> {
    const program = await install();
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

/** By Go's module proxy and checksum database. One process at a time does it, and it is there when it is whole. */
async function install(): Promise<string> {
  const program = join(TOOLS, 'versitygw');
  if (existsSync(program)) return program;
  mkdirSync(TOOLS, { recursive: true });
  const made = join(TOOLS, 'new');
  const script = `[ -e "$1" ] || { go install -p 2 "$2" && mv "$3/versitygw" "$1"; }`;
  const module = `github.com/versity/versitygw/cmd/versitygw@${VERSION}`;
  const args = [join(TOOLS, 'lock'), 'sh', '-c', script, 'sh', program, module, made];
  const env = { ...process.env, GOBIN: made, GOFLAGS: '', CGO_ENABLED: '0' };
  await promisify(execFile)('flock', args, { env, timeout: INSTALL_MS_MAX });
  return program;
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
