/**
 * Names the `go` command that this program serves, by what can be seen of it: its directory, its environment and, on
 * Linux, its command line. Starts no program.
 *
 * `go` sets all variables of `go env` in its own environment before it starts this program (cmd/go/main.go, invoke).
 */

import { readFileSync, statSync } from 'node:fs';
import * as platform from 'node:path';
import { basename, dirname, isAbsolute, join } from 'node:path';
import { SESSION_LABEL_LENGTH_MAX } from '../core/limits.ts';
import { crypto } from '../core/node-modules.ts';
import type { SessionName } from '../core/session-port.ts';

export type GoCommand = {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly directory: string;
  /** Of the process that started this one; empty where it can't be seen. */
  readonly argv: readonly string[];
};

export type CommandName = SessionName & {
  /** Of the module and the target, whatever is done with it: 64 lower-case hex digits. Such commands use much of the same. */
  readonly module: string;
};

/** Without a module, such as in GOPATH mode, its arguments and target name it. */
export function nameSession({ env, directory, argv }: GoCommand): CommandName {
  const { root, path } = findModule(directory);
  const { verb, flags, words } = readCommand(argv);
  const target = `${env.GOOS ?? ''}/${env.GOARCH ?? ''}`;
  const settings = SETTINGS.map((name) => `${name}=${env[name] ?? ''}`);
  const module = sha256([path, ...settings]);
  const project = sha256([path, verb, ...flags, ...settings]);
  const key = sha256([project, root === undefined ? '' : placeIn(root, directory), ...words]);
  // All readers of the build cache may see it, so it names no module.
  const label = ['go', verb, target, env.GOVERSION ?? '', ...factsOf(env)]
    .filter((word) => word !== '')
    .join(' ');
  return {
    key,
    project,
    module,
    label: label.replace(/[^\x20-\x7e]/g, '?').slice(0, SESSION_LABEL_LENGTH_MAX),
  };
}

/** Of the command that has started this process. */
export function nameOwnSession(env: GoCommand['env']): CommandName {
  return nameSession({ env, directory: ownDirectory(env.PWD), argv: parentArgv(process.ppid) });
}

/**
 * PWD has the name that `go` was started under; the kernel's has links resolved. As os.Getwd does it, PWD counts only where it is
 * this directory: `make -C` leaves it as it was, and on Windows nobody but some shells sets it.
 */
export function ownDirectory(pwd: string | undefined): string {
  const own = process.cwd();
  if (pwd === undefined || process.platform === 'win32' || !isAbsolute(pwd)) return own;
  try {
    const [here, there] = [statSync(own), statSync(pwd)];
    return here.ino === there.ino && here.dev === there.dev ? pwd : own;
  } catch {
    return own;
  }
}

/**
 * What else decides whether two machines share anything, for `astera doctor`. Paths name their users, so only marks of
 * them are told.
 */
export function factsOf(env: GoCommand['env']): string[] {
  const set = TOLD.flatMap((name) => (env[name] ? [`${name}=${env[name]}`] : []));
  const paths = TOLD_PATHS.flatMap((name) =>
    env[name] ? [`${name}#${sha256([env[name]]).slice(0, 8)}`] : [],
  );
  // Values of flags may be secrets, such as those that the linker puts into programs.
  const flags = (env.GOFLAGS ?? '').split(' ').flatMap((flag) => /^--?(\w+)/.exec(flag)?.[1] ?? []);
  return [...paths, ...set, `GOFLAGS=${flags.sort().join(',')}`];
}

const TOLD = ['CGO_ENABLED', 'GO386', 'GOAMD64', 'GOARM', 'GOARM64', 'GOEXPERIMENT'];
const TOLD_PATHS = ['GOROOT', 'GOMODCACHE'];

/** The command line of the `go` command above; empty where there is none to be seen. */
export function parentArgv(pid: number): string[] {
  try {
    const argv = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').slice(0, -1);
    // Another program between it and us says nothing of what is built.
    return /^go(\.exe|[0-9].*)?$/.test(basename(argv[0] ?? '')) ? argv : [];
  } catch {
    return [];
  }
}

/** Each is in the IDs of a build's actions, or changes which of them are asked for. */
const SETTINGS = [
  'GOOS',
  'GOARCH',
  'GOVERSION',
  'GOFLAGS',
  'GOEXPERIMENT',
  'CGO_ENABLED',
  'GO386',
  'GOAMD64',
  'GOARM',
  'GOARM64',
  'GOMIPS',
  'GOMIPS64',
  'GOPPC64',
  'GORISCV64',
  'GOWASM',
];

/** The module that the directory is in. */
function findModule(directory: string): { readonly root: string | undefined; readonly path: string } {
  for (let root = directory; ; root = dirname(root)) {
    try {
      const text = readFileSync(join(root, 'go.mod'), 'utf8');
      return { root, path: /^\s*module\s+["`]?([^\s"`]+)/m.exec(text)?.[1] ?? '' };
    } catch {
      if (root === dirname(root)) return { root: undefined, path: '' };
    }
  }
}

/** Where a directory is below a root: the same for machines of all kinds. */
export function placeIn(
  root: string,
  directory: string,
  { relative, sep }: Pick<typeof platform, 'relative' | 'sep'> = platform,
): string {
  return relative(root, directory).replaceAll(sep, '/');
}

type Command = {
  readonly verb: string;
  /** In their order. */
  readonly flags: readonly string[];
  readonly words: readonly string[];
};

function readCommand(argv: readonly string[]): Command {
  const [, verb = '', ...rest] = argv;
  const flags: string[] = [];
  const words: string[] = [];
  for (let at = 0; at < rest.length; at++) {
    const arg = rest[at] ?? '';
    const name = /^--?([a-z]+)$/.exec(arg)?.[1];
    if (name !== undefined && WITH_VALUE.has(name)) at++;
    else if (!arg.startsWith('-')) words.push(arg);
    else if (!WITHOUT_EFFECT.test(arg)) flags.push(arg);
  }
  return { verb, flags, words };
}

/** Flags that change nothing of what is asked for; the next argument is their value. */
const WITH_VALUE = new Set(['o', 'p', 'run', 'count', 'timeout', 'f']);

/** The same with a value in themselves, or none. */
const WITHOUT_EFFECT = /^--?(?:[vnx]|json|(?:o|p|run|count|timeout|f)=.*)$/s;

function sha256(parts: readonly string[]): string {
  return crypto().createHash('sha256').update(parts.join('\0')).digest('hex');
}
