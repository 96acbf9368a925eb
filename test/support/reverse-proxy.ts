/**
 * A real reverse proxy on loopback, started with a file of `deploy/` in which only the ports are others.
 *
 * The caller stops it; `stop` ends it and removes its directory.
 */

import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { CHECKOUT } from './corpus.ts';
import { freePort } from './free-port.ts';

export type ProxyKind = 'nginx' | 'haproxy';

/** A change of the file's text; it must change something. */
export type Edit = { readonly from: string; readonly to: string };

const files = { nginx: 'nginx.conf', haproxy: 'haproxy.cfg' } as const satisfies Record<ProxyKind, string>;

/** Whether the machine has it. */
export function hasProxy(kind: ProxyKind): boolean {
  return spawnSync(kind, ['-v'], { stdio: 'ignore' }).status === 0;
}

export class ReverseProxy {
  /** `http://127.0.0.1:PORT`. */
  readonly url: string;
  readonly #directory: string;
  readonly #child: ChildProcess;
  #said = '';

  /**
   * Resolves when it takes connections.
   *
   * @param to the server's URL
   * @param edits more changes of the file
   * @param name another file of `deploy/` than the one for a single server
   * @throws it exits instead
   */
  static async start(
    kind: ProxyKind,
    to: string,
    edits: readonly Edit[] = [],
    name: string = files[kind],
  ): Promise<ReverseProxy> {
    const directory = mkdtempSync(join(tmpdir(), 'astera-proxy-'));
    const port = await freePort();
    const listen = kind === 'nginx' ? 'listen' : 'bind';
    const text = [
      { from: 'server 127.0.0.1:8080', to: `server ${new URL(to).host}` },
      { from: 'server astera 127.0.0.1:8080', to: `server astera ${new URL(to).host}` },
      { from: `${listen} ${kind === 'nginx' ? '80' : ':80'}`, to: `${listen} 127.0.0.1:${port}` },
      ...edits,
    ].reduce(
      (before, { from, to: after }) => before.replace(from, after),
      readFileSync(join(CHECKOUT, 'deploy', name), 'utf8'),
    );
    for (const { to: after } of edits) assert.ok(text.includes(after), after);
    const file = join(directory, files[kind]);
    writeFileSync(file, text);
    const args = kind === 'nginx' ? nginxArgs(directory, file) : ['-f', file, '-q'];
    const child = spawn(kind, args, { stdio: ['ignore', 'ignore', 'pipe'] });
    const proxy = new ReverseProxy(`http://127.0.0.1:${port}`, directory, child);
    await proxy.#ready();
    return proxy;
  }

  private constructor(url: string, directory: string, child: ChildProcess) {
    this.url = url;
    this.#directory = directory;
    this.#child = child;
  }

  /** What it has written to stderr: nginx's errors. */
  get log(): string {
    return this.#said;
  }

  /** Open files that nginx keeps answers in; it unlinks each at once. */
  get temporaryFiles(): string[] {
    const descriptors = `/proc/${this.#child.pid}/fd`;
    return readdirSync(descriptors)
      .map((name) => readlinkSync(join(descriptors, name)))
      .filter((path) => path.startsWith(join(this.#directory, 'proxy')));
  }

  async stop(): Promise<void> {
    this.#child.kill('SIGKILL');
    if (this.#child.exitCode === null && this.#child.signalCode === null) await once(this.#child, 'exit');
    rmSync(this.#directory, { recursive: true, force: true });
  }

  async #ready(): Promise<void> {
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#said += text;
    });
    while (!(await takesConnections(new URL(this.url)))) {
      assert.equal(this.#child.exitCode, null, this.#said);
      await delay(20);
    }
  }
}

/** One process in the foreground, whose files are all in `directory`. */
function nginxArgs(directory: string, file: string): string[] {
  const kept = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  for (const name of kept) mkdirSync(join(directory, name));
  const paths = kept.map((name) => `${name}_temp_path ${join(directory, name)};`).join(' ');
  const main = join(directory, 'main.conf');
  writeFileSync(
    main,
    `daemon off; master_process off; pid ${join(directory, 'pid')}; error_log stderr;
    events {} http { access_log off; ${paths} include ${file}; }`,
  );
  return ['-p', directory, '-e', 'stderr', '-c', main];
}

function takesConnections({ hostname, port }: URL): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: hostname, port: Number(port) });
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}
