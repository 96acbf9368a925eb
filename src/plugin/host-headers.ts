/**
 * The C headers of this host: where its compiler looks for them, and what they say. Two hosts with the same ones get the
 * same from cgo, as all else that decides it is in the IDs of Go's actions.
 *
 * Directories are read anew each time; contents only where a file's size or time is another than last time. Headers that
 * a package names by a path of its own outside of these directories are not seen.
 */

import * as fs from 'node:fs';
import { delimiter, join } from 'node:path';
import { crypto } from '../core/node-modules.ts';
import { HEADER_BYTES_MAX, HEADER_FILES_MAX, HEADER_PROGRAM_MS } from './limits.ts';
import { replaceFile } from './replace-file.ts';

/** `go` gives its own variables to the programs that it starts. */
export type HostEnv = Readonly<Record<string, string | undefined>>;

type Header = { readonly path: string; readonly size: number; readonly mtimeMs: number };

/**
 * A hash of all that cgo depends on beside what `go` knows.
 *
 * @param memo a file that keeps the hash of the contents for next time
 * @throws {Error} no compiler, or more than the bounds of headers
 */
export async function hashHost(given: HostEnv, memo: string): Promise<string> {
  const env = { ...writtenEnv(given.GOENV), ...given };
  const compilers = await Promise.all([
    describeCompiler('c', env.CC ?? 'cc', `${env.CGO_CPPFLAGS ?? ''} ${env.CGO_CFLAGS ?? ''}`, env),
    // Many hosts have none. Those that have one say so.
    describeCompiler(
      'c++',
      env.CXX ?? 'c++',
      `${env.CGO_CPPFLAGS ?? ''} ${env.CGO_CXXFLAGS ?? ''}`,
      env,
    ).catch(() => ({ version: 'none', directories: [] })),
  ]);
  const packages = await packageDirectories(env);
  const directories = new Set(compilers.flatMap((one) => one.directories));
  const headers = await listHeaders([...directories], () => true);
  const packageFiles = await listHeaders(packages, (name) => name.endsWith('.pc'));
  const contents = await hashContents([...headers, ...packageFiles], memo);
  const versions = compilers.map(({ version }) => version);
  return sha256([process.platform, process.arch, osRelease(), ...versions, ...directories, contents]);
}

/** Of `go env -w`: the flags for C, which `go` does not give on. */
function writtenEnv(path: string | undefined): HostEnv {
  if (path === undefined || path === 'off') return {};
  const lines = readQuietly(path).matchAll(/^((?:CGO|PKG)_[A-Z_]+)=(.*?)\r?$/gm);
  return Object.fromEntries(Array.from(lines, ([, name, text]) => [name, text]));
}

type Compiler = { readonly version: string; readonly directories: readonly string[] };

async function describeCompiler(
  language: 'c' | 'c++',
  command: string,
  flags: string,
  env: HostEnv,
): Promise<Compiler> {
  const [program = '', ...words] = `${command} ${flags}`.split(/\s+/).filter((word) => word !== '');
  const text = await run(program, [...words, '-E', '-v', '-x', language, '-'], env);
  const [, list] = /#include <\.\.\.> search starts here:\n([\s\S]*?)\nEnd of search list/.exec(text) ?? [];
  const [, quoted = ''] = /#include "\.\.\." search starts here:\n([\s\S]*?)#include </.exec(text) ?? [];
  const version = /^.*\bversion .*$/m.exec(text)?.[0];
  if (list === undefined || version === undefined)
    throw new Error(`${program} does not say where its headers are`);
  const lines = `${quoted}${list}`
    .split('\n')
    .map((line) => line.replace(/ \(framework directory\)$/, '').trim());
  return { version, directories: lines.filter((line) => line !== '').map(realPath) };
}

/** Where pkg-config looks for the flags of libraries; none without it. */
async function packageDirectories(env: HostEnv): Promise<string[]> {
  const program = env.PKG_CONFIG ?? 'pkg-config';
  const text = await run(program, ['--variable', 'pc_path', 'pkg-config'], env).catch(() => '');
  const all = `${env.PKG_CONFIG_PATH ?? ''}${delimiter}${text.trim()}`.split(delimiter);
  return [...new Set(all.filter((path) => path !== '').map(realPath))].filter((path) => fs.existsSync(path));
}

/** Stdout and stderr of a program, in English, with line ends as Unix has them. */
async function run(program: string, args: readonly string[], env: HostEnv): Promise<string> {
  const { execFile } = await import('node:child_process');
  return await new Promise((resolve, reject) => {
    const options = { env: { ...env, LC_ALL: 'C' }, timeout: HEADER_PROGRAM_MS, maxBuffer: 1024 * 1024 };
    const child = execFile(program, args, options, (error, stdout, stderr) => {
      if (error === null) resolve(`${stdout}${stderr}`.replaceAll('\r\n', '\n'));
      else reject(new Error(`cannot run ${program}`));
    });
    child.stdin?.on('error', () => {}).end();
  });
}

/** All files below the directories, each once, through links too. */
async function listHeaders(
  directories: readonly string[],
  isWanted: (name: string) => boolean,
): Promise<Header[]> {
  const found: Header[] = [];
  const seen = new Set<string>();
  const waiting = [...directories].reverse();
  for (let directory = waiting.pop(); directory !== undefined; directory = waiting.pop()) {
    const real = realPath(directory);
    if (seen.has(real)) continue;
    seen.add(real);
    for (const name of fs.readdirSync(directory).sort()) {
      const path = join(directory, name);
      const stat = fs.statSync(path, { throwIfNoEntry: false });
      if (stat?.isDirectory()) waiting.push(path);
      else if (stat?.isFile() && isWanted(name)) found.push({ path, size: stat.size, mtimeMs: stat.mtimeMs });
    }
    if (found.length + waiting.length > HEADER_FILES_MAX)
      throw new Error(`over ${HEADER_FILES_MAX} C headers`);
    await new Promise((resolve) => setImmediate(resolve)); // Others get their turn.
  }
  return found;
}

async function hashContents(headers: readonly Header[], memo: string): Promise<string> {
  const key = sha256(headers.flatMap(({ path, size, mtimeMs }) => [path, String(size), String(mtimeMs)]));
  const known = readQuietly(memo).split(' ');
  if (known[0] === key && known[1] !== undefined) return known[1];
  const bytes = headers.reduce((sum, { size }) => sum + size, 0);
  if (bytes > HEADER_BYTES_MAX) throw new Error(`over ${HEADER_BYTES_MAX} bytes of C headers`);
  const parts: string[] = [];
  for (const { path } of headers)
    parts.push(
      path,
      crypto()
        .createHash('sha256')
        .update(await fs.promises.readFile(path))
        .digest('hex'),
    );
  const contents = sha256(parts);
  // A file that was changed within its time's last tick would not show.
  if (headers.every(({ mtimeMs }) => mtimeMs < Date.now() - SETTLED_MS))
    replaceFile(memo, `${key} ${contents}`); // Otherwise they are read anew next time.
  return contents;
}

/** As Go's own test cache: files that are younger may change again at the same time. */
const SETTLED_MS = 2_000;

function osRelease(): string {
  return readQuietly('/etc/os-release')
    .split('\n')
    .filter((line) => /^(?:ID|VERSION_ID)=/.test(line))
    .join(' ');
}

function readQuietly(path: string): string {
  try {
    return fs.readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function realPath(path: string): string {
  try {
    return fs.realpathSync(path);
  } catch {
    return path;
  }
}

/** Of the parts with their lengths: no two lists have one text. */
function sha256(parts: readonly string[]): string {
  const hash = crypto().createHash('sha256');
  for (const part of parts) hash.update(`${part.length}:${part}`);
  return hash.digest('hex');
}
