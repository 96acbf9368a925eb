/** A directory as an archive that has the same bytes wherever and whenever it is made. */

import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Of each file, in seconds: 2000-01-01. Tools warn of the year 1970. */
const MTIME_SECONDS = 946_684_800;

/** Writes `SHA256SUMS` in the form of `sha256sum -c`: every file below `directory` but itself. */
export function writeSums(directory: string): void {
  const lines = filesBelow(directory).map((path) => `${sha256(join(directory, path))}  ${path}\n`);
  writeFileSync(join(directory, 'SHA256SUMS'), lines.join(''));
}

/**
 * Packs the directory `name` of `parent` into `file`.
 *
 * Sorted, with owners, modes and times that do not depend on this machine. GNU tar and gzip do it: Node's own
 * zlib packs differently on different processors.
 */
export function pack(parent: string, name: string, file: string): void {
  setModes(join(parent, name));
  const same = ['--sort=name', '--owner=0', '--group=0', '--numeric-owner', `--mtime=@${MTIME_SECONDS}`];
  const options = ['--format=ustar', ...same, '--use-compress-program=gzip -n'];
  execFileSync('tar', [...options, '-C', parent, '-cf', `${file}.part`, name]);
  renameSync(`${file}.part`, file);
}

/** Lower-case hex. */
export function sha256(path: string): string {
  return createHash('sha256').update(readFileSync(path)).digest('hex');
}

function filesBelow(directory: string): string[] {
  const paths = readdirSync(directory, { recursive: true, encoding: 'utf8' });
  return paths.filter((path) => statSync(join(directory, path)).isFile()).sort();
}

/** 755 for directories and what can be run, 644 for all else: the umask leaves no trace. */
function setModes(directory: string): void {
  chmodSync(directory, 0o755);
  for (const path of readdirSync(directory, { recursive: true, encoding: 'utf8' })) {
    const whole = join(directory, path);
    const stats = statSync(whole);
    const isRun = stats.isDirectory() || (stats.mode & 0o100) !== 0;
    chmodSync(whole, isRun ? 0o755 : 0o644);
  }
}
