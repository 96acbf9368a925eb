/** Repositories of noise, which no pack makes smaller, made by `git fast-import`. */

import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { gitIn } from '../../test/git/repository-maker.ts';

export type NoiseRepository = {
  readonly module: string;
  readonly files: number;
  readonly fileBytes: number;
  /** The first has all files, each other one changes one of them. */
  readonly commits: number;
  /** `v1.0.0` and on, at commits of equal distance. */
  readonly tags: number;
};

/** Without compression, as noise gains nothing by it. */
export async function makeNoiseRepository(
  directory: string,
  { module, files, fileBytes, commits, tags }: NoiseRepository,
): Promise<void> {
  mkdirSync(directory, { recursive: true });
  gitIn(directory, 'init', '-q', '--bare', '-b', 'main');
  gitIn(directory, 'config', 'uploadpack.allowFilter', 'true');
  const settings = ['-c', 'core.compression=0', '-c', 'core.bigFileThreshold=1k'];
  const importer = spawn('git', [...settings, '--git-dir', directory, 'fast-import', '--quiet'], {
    stdio: ['pipe', 'inherit', 'inherit'],
  });
  const ended = once(importer, 'exit');
  const write = async (...pieces: readonly (string | Buffer)[]) => {
    for (const piece of pieces) if (!importer.stdin.write(piece)) await once(importer.stdin, 'drain');
  };
  const writeFile = (path: string, bytes: Buffer) =>
    write(`M 100644 inline ${path}\ndata ${bytes.length}\n`, bytes, '\n');
  for (let at = 0; at < commits; at++) {
    const time = 1_600_000_000 + at * 60;
    await write(`commit refs/heads/main\ncommitter T <t@corp.example> ${time} +0000\ndata 1\nx\n`);
    if (at === 0) await writeFile('go.mod', Buffer.from(`module ${module}\n`));
    const changed = at === 0 ? Array.from({ length: files }, (_, file) => file) : [at % files];
    for (const file of changed) await writeFile(`p${file % 10}/f${file}.bin`, randomBytes(fileBytes));
    const tag = at / (commits / tags);
    if (Number.isInteger(tag)) await write(`reset refs/tags/v1.0.${tag}\nfrom refs/heads/main\n\n`);
  }
  importer.stdin.end();
  const [code] = await ended;
  if (code !== 0) throw new Error(`git fast-import ended with ${code}`);
}
