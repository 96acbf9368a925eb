/**
 * The reference: nginx serves a GOPROXY tree as plain files, by sendfile, without a log. It keeps files open
 * (`open_file_cache`), as one would run it: a small answer takes 9 to 10 µs so, and 17 if each request opens its file.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../../test/support/free-port.ts';
import { untilAnswers } from './until-answers.ts';

const WORKERS = 2;

/** More than the corpus has files, so that none is opened twice. */
const OPEN_FILES_MAX = 10_000;
const CONNECTIONS_MAX = 4096;

const HOW_TO_INSTALL = 'install it with `apt-get install nginx-light`';

export class Nginx {
  readonly url: string;
  readonly #child: ChildProcess;
  readonly #directory: string;

  /**
   * @param root the tree it serves, which must not change meanwhile; symbolic links are followed
   * @throws if nginx is not installed or does not start
   */
  static async start(root: string): Promise<Nginx> {
    const directory = await mkdtemp(join(tmpdir(), 'astera-nginx-'));
    const port = await freePort();
    await writeFile(join(directory, 'nginx.conf'), config({ directory, root, port }));
    const args = ['-p', directory, '-c', join(directory, 'nginx.conf'), '-e', join(directory, 'error.log')];
    const child = spawn('nginx', args, { stdio: 'inherit' });
    const url = `http://127.0.0.1:${port}`;
    await untilAnswers({ url, child, name: 'nginx', hint: HOW_TO_INSTALL });
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
worker_rlimit_nofile ${OPEN_FILES_MAX + 2 * CONNECTIONS_MAX};
events { worker_connections ${CONNECTIONS_MAX}; }
http {
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000; default_type text/plain; ${temporary}
  open_file_cache max=${OPEN_FILES_MAX} inactive=1h; open_file_cache_valid 1h;
  types { application/json info; application/zip zip; }
  server { listen 127.0.0.1:${port} backlog=4096; root ${root}; }
}
`;
}
