/** The reference: nginx serving a GOPROXY tree as plain files, by sendfile, without a log. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { freePort } from '../../test/support/free-port.ts';

const WORKERS = 2;

export class Nginx {
  readonly url: string;
  readonly #child: ChildProcess;
  readonly #directory: string;

  /** @param root what it serves; symbolic links are followed */
  static async start(root: string): Promise<Nginx> {
    const directory = await mkdtemp(join(tmpdir(), 'astera-nginx-'));
    const port = await freePort();
    await writeFile(join(directory, 'nginx.conf'), config({ directory, root, port }));
    const args = ['-p', directory, '-c', join(directory, 'nginx.conf'), '-e', join(directory, 'error.log')];
    const child = spawn('nginx', args, { stdio: 'inherit' });
    const url = `http://127.0.0.1:${port}`;
    for (let tries = 0; ; tries++) {
      if (
        await fetch(url).then(
          () => true,
          () => false,
        )
      )
        break;
      if (tries > 100 || child.exitCode !== null)
        throw new Error('nginx did not start: is nginx-light installed?');
      await delay(50);
    }
    return new Nginx(child, url, directory);
  }

  private constructor(child: ChildProcess, url: string, directory: string) {
    this.#child = child;
    this.url = url;
    this.#directory = directory;
  }

  /** Master and workers. */
  get pids(): number[] {
    const master = this.#child.pid ?? 0;
    const workers = readFileSync(`/proc/${master}/task/${master}/children`, 'utf8')
      .trim()
      .split(' ')
      .map(Number);
    return [master, ...workers];
  }

  async stop(): Promise<void> {
    this.#child.kill('SIGTERM');
    if (this.#child.exitCode === null) await once(this.#child, 'exit');
    await rm(this.#directory, { recursive: true, force: true });
  }
}

function config({ directory, root, port }: { directory: string; root: string; port: number }): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((name) => `${name}_temp_path ${directory}/${name};`)
    .join(' ');
  return `
daemon off; worker_processes ${WORKERS}; pid ${directory}/nginx.pid; error_log ${directory}/error.log;
${process.getuid?.() === 0 ? 'user root;' : ''}
events { worker_connections 4096; }
http {
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000; default_type text/plain; ${temporary}
  types { application/json info; application/zip zip; }
  server { listen 127.0.0.1:${port} backlog=4096; root ${root}; }
}
`;
}
