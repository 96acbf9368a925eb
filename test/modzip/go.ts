/** Runs the real `go` for tests: no network, no toolchain switch, all state in one temporary directory. */

import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';

/** A temporary directory that is gone when `use` ends. */
export async function withDirectory<T>(use: (directory: string) => Promise<T>): Promise<T> {
  const directory = await mkdtemp(join(tmpdir(), 'astera-modzip-'));
  try {
    return await use(directory);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

type GoRun = { readonly directory: string; readonly proxy?: string; readonly input?: string };

/** The output of `go`, for any exit code. `proxy` is the root of a `file:` GOPROXY. */
export async function runGo(args: readonly string[], { directory, proxy, input = '' }: GoRun) {
  const child = spawn('go', args, {
    cwd: directory,
    env: {
      ...process.env,
      GOMODCACHE: join(directory, 'modcache'),
      GOPROXY: proxy === undefined ? 'off' : `file://${proxy}`,
      GOFLAGS: '-mod=mod -modcacherw',
      GONOSUMDB: '*',
      GOSUMDB: 'off',
      GOTOOLCHAIN: 'local',
      GOWORK: 'off',
      GOENV: 'off',
    },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  child.stdin.end(input);
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  return { stdout, stderr };
}
