/** Settings that only the `go` command knows. */

import { execFile } from 'node:child_process';
import type { Env } from './go-env.ts';
import { nonEmpty } from './sources.ts';

/** A setting by `go env`: `go env -w` writes settings into a file, which the environment does not show. Undefined without Go. */
export function askGo(name: string, env: Env): Promise<string | undefined> {
  const options = {
    // Away from any go.mod and kept local, so that `go` goes out for no other toolchain.
    cwd: '/',
    env: { ...env, GOTOOLCHAIN: 'local' },
    timeout: GO_TIMEOUT_MS,
    killSignal: 'SIGKILL',
    maxBuffer: GO_OUTPUT_BYTES_MAX,
  } as const;
  return new Promise((resolve) => {
    execFile('go', ['env', name], options, (error, stdout) => {
      resolve(error === null ? nonEmpty(stdout.trim()) : undefined);
    });
  });
}

/** `go env` takes 10 ms; a Pi with a cold SD card, a second. */
const GO_TIMEOUT_MS = 5000;

const GO_OUTPUT_BYTES_MAX = 65_536;
