/** Whether `go` gives the same through a build cache program as with its own cache: results, exit codes and bytes. */

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { GoClient } from './go.ts';

/** One `go` command's arguments; `file`: it writes this one, whose bytes count too. */
export type Step = { readonly args: readonly string[]; readonly file?: string };

/** Everything that clients may hand on: packages' export files by their import path, as SHA-256. */
const EXPORTS: Step = {
  args: ['list', '-export', '-deps', '-f', '{{if .Export}}{{.ImportPath}} {{.Export}}{{end}}'],
};

/**
 * Runs each step with both clients and insists on the same outcome. The export files are read after `go` has ended, as
 * linters do it.
 *
 * @param packages those whose export files are compared
 */
export async function assertEqualGo(
  clients: { readonly plain: GoClient; readonly cached: GoClient },
  { steps, packages }: { readonly steps: readonly Step[]; readonly packages: readonly string[] },
): Promise<void> {
  for (const step of steps) {
    const expected = await outcome(clients.plain, step);
    assert.deepEqual(await outcome(clients.cached, step), expected, step.args.join(' '));
  }
  assert.deepEqual(await exportsOf(clients.cached, packages), await exportsOf(clients.plain, packages));
}

/** Import paths with the SHA-256 of their export files. */
export async function exportsOf(go: GoClient, packages: readonly string[]): Promise<Map<string, string>> {
  const { code, stdout, stderr } = await go.run(...EXPORTS.args, ...packages);
  assert.equal(code, 0, stderr);
  const lines = stdout.trimEnd().split('\n');
  return new Map(
    lines.map((line) => {
      const [path = '', file = ''] = line.split(' ');
      return [path, sha256Of(file)] as const;
    }),
  );
}

/** Compile steps that a build with `-x` tells of. */
export async function compiles(go: GoClient, ...args: readonly string[]): Promise<number> {
  const [command = 'build', ...rest] = args;
  const { code, stderr } = await go.run(command, '-x', ...rest);
  assert.equal(code, 0, stderr);
  return stderr.split('\n').filter((line) => /\/(compile|asm|cgo) /.test(line)).length;
}

async function outcome(go: GoClient, { args, file }: Step) {
  const { code, stdout, stderr } = await go.run(...args);
  const path = file === undefined ? undefined : join(go.project, file);
  return {
    code,
    stdout: plainText(stdout, go),
    stderr: plainText(stderr, go),
    bytes: path !== undefined && existsSync(path) ? sha256Of(path) : undefined,
  };
}

/** Without what differs from run to run: directories, times, and whether a test's result was cached. */
function plainText(text: string, go: GoClient): string[] {
  return text
    .replaceAll(go.directory, '')
    .replace(/^# still waiting for GOCACHEPROG .*\n/gm, '')
    .replace(/\t(\d+\.\d+s|\(cached\))/g, '')
    .replace(/\(\d+\.\d+s\)/g, '')
    .replace(/in \d+\.\d+s/g, '')
    .split('\n')
    .filter((line) => !line.startsWith('go: downloading '))
    .sort();
}

function sha256Of(path: string): string {
  return createHash('sha256').update(readFileSync(path)).digest('hex');
}
