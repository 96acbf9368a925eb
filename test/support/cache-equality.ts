/** Whether `go` gives the same through a build cache program as with its own cache: results, exit codes and bytes. */

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ensureCorpus } from './corpus.ts';
import { GoClient } from './go.ts';
import { goTool } from './go-tool.ts';

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
    assert.equal(expected.code, 0, `${step.args.join(' ')}: ${expected.stderr.join('\n')}`);
    assert.deepEqual(await outcome(clients.cached, step), expected, step.args.join(' '));
  }
  assert.deepEqual(await exportsOf(clients.cached, packages), await exportsOf(clients.plain, packages));
}

/**
 * A client whose main module is one of the corpus, with a program `./cgo` beside it.
 *
 * @param source a module version of the corpus without dependencies; undefined: an empty project
 * @param program GOCACHEPROG; undefined: Go's own cache
 */
export async function corpusClient(
  source: string | undefined,
  program: string | undefined,
): Promise<GoClient> {
  const corpus = pathToFileURL(await ensureCorpus()).href;
  const own = program !== undefined && { GOCACHEPROG: program };
  const go = await GoClient.create(corpus, { env: { GOFLAGS: '-trimpath -modcacherw', ...own } });
  if (source === undefined) return go;
  const { code, stdout, stderr } = await go.run('mod', 'download', '-json', source);
  assert.equal(code, 0, `${stdout}${stderr}`);
  const { Dir } = JSON.parse(stdout) as { readonly Dir: string };
  await rm(join(go.project, 'main.go'));
  await go.takeFrom(Dir);
  await mkdir(join(go.project, 'cgo'));
  await writeFile(join(go.project, 'cgo/main.go'), CGO);
  return go;
}

const CGO = `package main

// static int twice(int n) { return 2 * n; }
import "C"

import "fmt"

func main() { fmt.Println(C.twice(21)) }
`;

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

/** Runs staticcheck with both, which reads export files, and insists on the same findings. @returns them */
export async function assertEqualLint(
  { plain, cached }: { readonly plain: GoClient; readonly cached: GoClient },
  ...args: readonly string[]
): Promise<string> {
  const staticcheck = await goTool('honnef.co/go/tools/cmd/staticcheck', 'v0.8.2');
  const said = async (go: GoClient) => {
    // Findings of its own cache have the paths of whoever found them first, and read no export file.
    const cache = `STATICCHECK_CACHE=${join(go.directory, 'staticcheck')}`;
    const { code, stdout, stderr } = await go.runProgram('env', cache, staticcheck, ...args);
    return `${code} ${stdout}${stderr}`.replaceAll(go.directory, '').replace(STILL_WAITING, '');
  };
  const expected = await said(plain);
  assert.equal(await said(cached), expected);
  return expected;
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
    .replace(STILL_WAITING, '')
    .replace(/\t(\d+\.\d+s|\(cached\))/g, '')
    .replace(/\(\d+\.\d+s\)/g, '')
    .replace(/in \d+\.\d+s/g, '')
    .split('\n')
    .filter((line) => !line.startsWith('go: downloading '))
    .sort();
}

/** What `go` says on a busy machine; a linter quotes it with a time before it. */
const STILL_WAITING = /^(\d[\d/: ]*)?# still waiting for GOCACHEPROG .*\n/gm;

function sha256Of(path: string): string {
  return createHash('sha256').update(readFileSync(path)).digest('hex');
}
