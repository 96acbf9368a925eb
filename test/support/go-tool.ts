/** Programs written in Go that tests run, installed by Go's module proxy and checksum database. */

import { execFile } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { CHECKOUT } from './corpus.ts';

/** To compile one, on a machine of two cores that has other work. */
const INSTALL_MS_MAX = 900_000;

/**
 * The path of a program. It stays: compiling it takes minutes where Go's own cache is empty. One process at a time does it,
 * and it is there when it is whole.
 *
 * @param path its package, such as `golang.org/x/vuln/cmd/govulncheck`
 */
export async function goTool(path: string, version: string): Promise<string> {
  const name = basename(path);
  const directory = join(CHECKOUT, 'node_modules/.cache', name, version);
  const program = join(directory, name);
  if (existsSync(program)) return program;
  mkdirSync(directory, { recursive: true });
  const made = join(directory, 'new');
  const script = `[ -e "$1" ] || { go install -p 2 "$2" && mv "$3/$4" "$1"; }`;
  const args = [join(directory, 'lock'), 'sh', '-c', script, 'sh', program, `${path}@${version}`, made, name];
  const env = { ...process.env, GOBIN: made, GOFLAGS: '', CGO_ENABLED: '0' };
  await promisify(execFile)('flock', args, { env, timeout: INSTALL_MS_MAX });
  return program;
}
