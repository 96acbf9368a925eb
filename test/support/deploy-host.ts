/**
 * A machine to deploy to: a real sshd on loopback, and a directory that stands for the machine's root.
 *
 * The programs that would change this machine are stand-ins: `systemctl` notes its calls and runs the unit's program,
 * `useradd`, `userdel` and `chown` only note them. `id` and `sudo` play a user who is not root. All else is real.
 */

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CHECKOUT } from './corpus.ts';
import { freePort } from './free-port.ts';

export type Run = { readonly code: number | null; readonly output: string };

export class DeployHost {
  /** Stands for `/` there. */
  readonly root: string;
  /** Of the Astera that runs there. */
  readonly url: string;
  readonly #directory: string;
  readonly #ssh: string;
  readonly #sshd: ChildProcess;

  /** Resolves when sshd answers. Everything lies in `directory`. */
  static async start(directory: string): Promise<DeployHost> {
    const [sshPort, port] = [await freePort(), await freePort()];
    const root = join(directory, 'root');
    for (const path of ['root/state', 'root/home', 'root/etc/systemd/system', 'root/etc/default', 'bin']) {
      mkdirSync(join(directory, path), { recursive: true });
    }
    for (const name of ['host', 'user']) {
      execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(directory, name)]);
    }
    writeStandIns(directory, root, port);
    // The service has it too; sudo keeps no variables.
    writeFileSync(join(root, 'etc/default/astera'), `ASTERA_ADDR="127.0.0.1:${port}"\n`);
    const config = join(directory, 'sshd_config');
    writeFileSync(config, sshdConfig(directory, { root, sshPort, port }));
    mkdirSync('/run/sshd', { recursive: true }); // Debian's sshd insists on it.
    const sshd = spawn('/usr/sbin/sshd', ['-D', '-e', '-f', config], { stdio: ['ignore', 'ignore', 'pipe'] });
    let log = '';
    for await (const piece of sshd.stderr.setEncoding('utf8')) {
      log += piece;
      if (log.includes('Server listening on')) break;
    }
    if (!log.includes('Server listening on')) throw new Error(`sshd did not start: ${log}`);
    sshd.stderr.resume();
    const known = `-o UserKnownHostsFile=${join(directory, 'known')} -o StrictHostKeyChecking=accept-new`;
    const ssh = `ssh -F none -p ${sshPort} -i ${join(directory, 'user')} ${known} -o LogLevel=ERROR`;
    return new DeployHost({ root, url: `http://127.0.0.1:${port}`, directory, ssh, sshd });
  }

  private constructor(parts: {
    root: string;
    url: string;
    directory: string;
    ssh: string;
    sshd: ChildProcess;
  }) {
    this.root = parts.root;
    this.url = parts.url;
    this.#directory = parts.directory;
    this.#ssh = parts.ssh;
    this.#sshd = parts.sshd;
  }

  /** Runs `make TARGET HOST=… NAME=value…`. */
  async make(target: string, variables: Readonly<Record<string, string>> = {}): Promise<Run> {
    const all = { HOST: '127.0.0.1', ROOT: this.root, WAIT: '20s', ...variables };
    const words = Object.entries(all).map(([name, value]) => `${name}=${value}`);
    const { PATH, HOME } = process.env;
    const make = spawn('make', ['--silent', target, ...words], {
      cwd: CHECKOUT,
      env: { PATH, HOME, SSH: this.#ssh },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    for (const stream of [make.stdout, make.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        output += text;
      });
    }
    const [code] = (await once(make, 'close')) as [number | null];
    return { code, output };
  }

  /** A file there, as text. */
  read(path: string): string {
    return readFileSync(join(this.root, path), 'utf8');
  }

  has(path: string): boolean {
    return existsSync(join(this.root, path));
  }

  /** What the stand-ins were called with since the last question, a line each. */
  takeCalls(): string[] {
    const path = join(this.root, 'state/calls');
    const lines = existsSync(path) ? readFileSync(path, 'utf8').trim().split('\n') : [];
    writeFileSync(path, '');
    return lines;
  }

  /** From here on ssh logs in as root, as a user whose sudo asks for a password, or as one whose sudo does not. */
  logInAs(who: 'root' | 'user' | 'sudoer'): void {
    writeFileSync(join(this.root, 'state/login'), who);
  }

  /** Ends sshd and the service. */
  async stop(): Promise<void> {
    execFileSync(join(this.#directory, 'bin/systemctl'), ['stop', 'astera']);
    this.#sshd.kill();
    await once(this.#sshd, 'exit');
  }
}

function sshdConfig(
  directory: string,
  { root, sshPort, port }: { root: string; sshPort: number; port: number },
): string {
  const path = `${join(directory, 'bin')}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`;
  return [
    `Port ${sshPort}`,
    'ListenAddress 127.0.0.1',
    `HostKey ${join(directory, 'host')}`,
    `AuthorizedKeysFile ${join(directory, 'user.pub')}`,
    `PidFile ${join(directory, 'sshd.pid')}`,
    'StrictModes no',
    'UsePAM no',
    'PermitRootLogin yes',
    `SetEnv PATH=${path} HOME=${join(root, 'home')} ASTERA_ADDR=127.0.0.1:${port}`,
    '',
  ].join('\n');
}

function writeStandIns(directory: string, root: string, port: number): void {
  const write = (name: string, text: string) => {
    const path = join(directory, 'bin', name);
    writeFileSync(path, `#!/bin/sh\nroot=${root}\necho "\${0##*/} $*" >>"$root/state/calls"\n${text}`);
    chmodSync(path, 0o755);
  };
  write('chown', '');
  write('useradd', 'touch "$root/state/user"\n');
  write('userdel', 'rm "$root/state/user"\n');
  write('getent', '[ -f "$root/state/user" ]\n');
  write('id', ID);
  write('sudo', SUDO);
  write('journalctl', 'tail -n 20 "$root/state/log"\n');
  write('systemctl', SYSTEMCTL.replaceAll('PORT', String(port)));
}

/** A user who is not root is root below sudo, which says so by SUDO_UID. */
const ID = `
login=$(cat "$root/state/login" 2>/dev/null)
if [ "$1" = -u ] && [ "\${login:-root}" != root ] && [ -z "$SUDO_UID" ]; then echo 1000; else exec /usr/bin/id "$@"; fi
`;

/** Without a terminal and NOPASSWD it refuses. The environment is a new one, as sudo makes it. */
const SUDO = `
[ "$(cat "$root/state/login")" = sudoer ] || { echo 'sudo: a password is required' >&2; exit 1; }
[ "$1" != -n ] || shift
exec env -i PATH="$PATH" HOME=/root SUDO_UID=1000 "$@"
`;

/** As systemd does it for `Type=notify`: a start that fails, or ends before it is ready, is a failed start. */
const SYSTEMCTL = `
stop() {
  [ -f "$root/state/pid" ] || return 0
  pid=$(cat "$root/state/pid")
  rm "$root/state/pid"
  kill -TERM "$pid" 2>/dev/null || return 0
  while kill -0 "$pid" 2>/dev/null; do sleep 0.02; done
}
start() {
  words=$(sed -n 's|^ExecStart=||p' "$root/etc/systemd/system/astera.service")
  ASTERA_CONFIG=$root/etc/astera/astera.conf ASTERA_ADDR=127.0.0.1:PORT ASTERA_SUMDB=off ASTERA_VERIFY=off \\
    setsid $root$words >"$root/state/out" 2>"$root/state/log" </dev/null &
  echo $! >"$root/state/pid"
  until grep -q '^listening' "$root/state/out"; do
    kill -0 "$(cat "$root/state/pid")" 2>/dev/null || return 1
    sleep 0.02
  done
}
case "$1" in
  restart) stop; start ;;
  stop) stop ;;
  disable) [ -f "$root/etc/systemd/system/astera.service" ] && stop ;;
  is-active) [ -f "$root/state/pid" ] && kill -0 "$(cat "$root/state/pid")" 2>/dev/null ;;
esac
`;
