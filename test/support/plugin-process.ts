/** A real `astera serve --plugin` as a child. */

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface, type Interface } from 'node:readline';
import type { TestContext } from 'node:test';
import { ASTERA } from './astera.ts';

export type PluginProcess = {
  readonly child: ChildProcess;
  readonly output: Interface;
  /** Of its stdout. */
  readonly lines: readonly string[];
  /** 0 of a Unix socket's. */
  readonly port: number;
  /** All it wrote to stderr so far. */
  readonly log: () => string;
};

/** Resolves when it says where its plugin listens. @param args flags of `serve` */
export async function servePlugin(
  t: Pick<TestContext, 'after'>,
  args: readonly string[],
): Promise<PluginProcess> {
  const { PATH, HOME } = process.env;
  const child: ChildProcess = spawn(ASTERA, ['serve', ...args], {
    env: { PATH, HOME, GOSUMDB: 'off', GOENV: 'off' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  t.after(() => child.kill('SIGKILL'));
  assert.ok(child.stdout && child.stderr);
  let log = '';
  child.stderr.on('data', (bytes) => {
    log += String(bytes);
  });
  const output = createInterface({ input: child.stdout });
  const lines: string[] = [];
  output.on('line', (line) => lines.push(line));
  await once(output, 'line');
  const port = /^plugin listening on (?:127\.0\.0\.1:(\d+)|unix:.*)$/.exec(lines[0] ?? '');
  assert.ok(port, lines[0]);
  return { child, output, lines, port: Number(port[1] ?? 0), log: () => log };
}
