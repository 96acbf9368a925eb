/** Real `go build`s of one small project whose build cache a program keeps, and looks at what the program left. */

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { GoClient, type GoResult } from './go.ts';

const MAIN = `package main

import (
	"encoding/json"
	"os"

	"example.com/app/lib"
)

func main() { json.NewEncoder(os.Stdout).Encode(lib.Numbers(3)) }
`;
const LIB = `package lib

import _ "embed"

//go:embed data.txt
var data []byte

func Numbers(n int) []int { return make([]int, n+len(data)) }
`;
const LIB_TEST = `package lib

import "testing"

func TestNumbers(t *testing.T) {
	if len(Numbers(1)) != 6 {
		t.Fatal(Numbers(1))
	}
}
`;

export type BuildClient = {
  /** GOCACHEPROG; without it the client uses Go's own cache. */
  readonly program?: string;
  readonly env?: Readonly<Record<string, string>>;
};

/** A client with a project of two packages. */
export async function buildClient({ program, env: more = {} }: BuildClient): Promise<GoClient> {
  const env = { CGO_ENABLED: '0', ...more, ...(program !== undefined && { GOCACHEPROG: program }) };
  // Each client has a directory of its own, which an action's ID holds unless paths are trimmed.
  const go = await GoClient.create('off', { env: { ...env, GOFLAGS: '-trimpath' } });
  await mkdir(join(go.project, 'lib'), { recursive: true });
  await writeFile(join(go.project, 'go.mod'), 'module example.com/app\n\ngo 1.24\n');
  await writeFile(join(go.project, 'main.go'), MAIN);
  await writeFile(join(go.project, 'lib/lib.go'), LIB);
  await writeFile(join(go.project, 'lib/lib_test.go'), LIB_TEST);
  await writeFile(join(go.project, 'lib/data.txt'), 'five!');
  return go;
}

/** Runs `go` and insists on its success. A busy machine is no news: go's lines about it are left out. */
export async function succeeds(go: Pick<GoClient, 'run'>, ...args: readonly string[]): Promise<GoResult> {
  const result = await go.run(...args);
  assert.equal(result.code, 0, `go ${args.join(' ')}: ${result.stderr}`);
  return { ...result, stderr: result.stderr.replace(/^# still waiting for GOCACHEPROG .*\n/gm, '') };
}

/** `go build` of the project's program. */
export function built(go: GoClient, ...flags: readonly string[]): Promise<GoResult> {
  return succeeds(go, 'build', ...flags, '-o', 'app', '.');
}

/** SHA-256 of the program that was built. */
export function programHash(go: GoClient): string {
  return createHash('sha256')
    .update(readFileSync(join(go.project, 'app')))
    .digest('hex');
}

/** Each output is what its name says, and each action names an output of a good form. */
export function assertWhole(cacheDir: string): void {
  for (const path of filesIn(join(cacheDir, 'output'))) {
    assert.equal(createHash('sha256').update(readFileSync(path)).digest('hex'), path.slice(-64), path);
  }
  for (const path of filesIn(join(cacheDir, 'action'))) {
    assert.match(readFileSync(path, 'latin1'), /^[0-9a-f]{64} [0-9]{1,19}$/, path);
  }
}

/** All files below a directory; none where it is not there. */
export function filesIn(directory: string): string[] {
  if (!existsSync(directory)) return [];
  return readdirSync(directory, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}
