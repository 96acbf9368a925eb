/** A real sshd on a free port of loopback, with a host key and users' keys of its own. */

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from './free-port.ts';

export class Sshd {
  readonly port: number;
  /** The line of a `known_hosts` file. */
  readonly knownHost: string;
  readonly #process: ChildProcess;

  /**
   * Resolves when it answers. Everything lies in `directory`.
   *
   * @param keys files of private keys that may log in, each with its `.pub` beside it
   */
  static async start(directory: string, keys: readonly string[]): Promise<Sshd> {
    const port = await freePort();
    const hostKey = makeKey(join(directory, 'host'));
    const authorized = join(directory, 'authorized');
    writeFileSync(authorized, keys.map((key) => readFileSync(`${key}.pub`, 'utf8')).join(''));
    const config = join(directory, 'sshd_config');
    const lines = [
      `Port ${port}`,
      'ListenAddress 127.0.0.1',
      `HostKey ${hostKey}`,
      `AuthorizedKeysFile ${authorized}`,
      `PidFile ${join(directory, 'sshd.pid')}`,
      'StrictModes no',
      'UsePAM no',
      'PermitRootLogin yes',
    ];
    writeFileSync(config, `${lines.join('\n')}\n`);
    mkdirSync('/run/sshd', { recursive: true }); // Debian's sshd insists on it.
    const process = spawn('/usr/sbin/sshd', ['-D', '-e', '-f', config], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let log = '';
    for await (const piece of process.stderr.setEncoding('utf8')) {
      log += piece;
      if (log.includes('Server listening on')) break;
    }
    if (!log.includes('Server listening on')) throw new Error(`sshd did not start: ${log}`);
    const [type, key] = readFileSync(`${hostKey}.pub`, 'utf8').split(' ');
    return new Sshd({ port, knownHost: `[127.0.0.1]:${port} ${type} ${key}\n`, process });
  }

  private constructor(parts: { port: number; knownHost: string; process: ChildProcess }) {
    this.port = parts.port;
    this.knownHost = parts.knownHost;
    this.#process = parts.process;
  }

  stop(): void {
    this.#process.kill();
  }
}

/** Makes a key without a passphrase, and its `.pub` beside it; returns `path`. */
export function makeKey(path: string): string {
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', path]);
  return path;
}
