// Goal: with a real project `go` gives the same through the cache program as with its own cache, to the byte; nothing is
// compiled twice, by this machine or by a second one.
// Method: a module of the corpus as the main module, the real server, and one client with Go's own cache to compare with. Then
// another module with a vet tool of the test's own, and staticcheck: both read what `go` names when it has ended, or still runs.
// Whole projects, the standard library and linters: bench/cache-equality.ts.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { promisify } from 'node:util';
import { Astera } from '../support/astera.ts';
import {
  assertEqualGo,
  assertEqualLint,
  compiles,
  corpusClient,
  exportsOf,
  type Step,
} from '../support/cache-equality.ts';
import { assertWhole } from '../support/cached-build.ts';
import { CHECKOUT } from '../support/corpus.ts';
import type { GoClient } from '../support/go.ts';
import { tempDir } from '../support/temp-dir.ts';

const PROGRAM = join(CHECKOUT, 'dist/cacheprog.mjs');
const PACKAGES = ['.', './cgo'];
const steps: readonly Step[] = [
  { args: ['build', ...PACKAGES] },
  { args: ['vet', '.'] },
  { args: ['test', '-c', '-o', 'toml.test', '.'], file: 'toml.test' },
  { args: ['build', '-o', 'program', './cgo'], file: 'program' },
];

test('a real project, cgo among its builds', { timeout: 600_000 }, async (t) => {
  const astera = await Astera.start({ upstream: 'off', flags: ['--sumdb', 'off'] });
  t.after(() => astera.dispose());
  const plain = await client(t, undefined, astera.url);
  const [firstDir, secondDir] = [join(tempDir(t), 'cache'), join(tempDir(t), 'cache')];
  const cached = await client(t, firstDir, astera.url);
  await assertEqualGo({ plain, cached }, { steps, packages: PACKAGES });
  assert.equal(await compiles(cached, 'build', ...PACKAGES), 0);
  assertWhole(firstDir);
  const second = await client(t, secondDir, astera.url);
  const packages = ['.'];
  assert.equal(await compiles(second, 'build', ...packages), 0);
  assert.deepEqual(await exportsOf(second, packages), await exportsOf(plain, packages));
  assertWhole(secondDir);
});

test('a vet tool and a linter of others find in a second project what they find without the cache program', {
  timeout: 600_000,
}, async (t) => {
  const astera = await Astera.start({ upstream: 'off', flags: ['--sumdb', 'off'] });
  t.after(() => astera.dispose());
  const tool = await buildVetTool(t);
  const plain = await client(t, undefined, astera.url, LINTED);
  const [firstDir, secondDir] = [join(tempDir(t), 'cache'), join(tempDir(t), 'cache')];
  const first = await client(t, firstDir, astera.url, LINTED);
  const vet = async (go: GoClient) => {
    const { code, stdout, stderr } = await go.run('vet', `-vettool=${tool}`, './modfile');
    return `${code} ${stdout}${stderr}`.replaceAll(go.directory, '');
  };
  const found = await vet(plain);
  assert.match(found, /^1 .*modfile\/read\.go:\d+:\d+: imports bytes with \d+ names/s);
  assert.equal(await vet(first), found);
  assert.equal(await vet(first), found, 'what a vet tool said is said again');
  const lint = await assertEqualLint({ plain, cached: first }, '-checks=all', '-tests=false', './modfile');
  assert.match(lint, /^1 modfile\/read\.go:\d+:\d+: .* \(ST1016\)$/m);
  const second = await client(t, secondDir, astera.url, LINTED);
  assert.equal(await vet(second), found);
  for (const one of [firstDir, secondDir]) assertWhole(one);
});

const LINTED = 'golang.org/x/mod@v0.42.0';

/** A program that `go vet` runs in the place of its own: it reads the export file of each import, and finds fault with all. */
async function buildVetTool(t: TestContext): Promise<string> {
  const directory = tempDir(t);
  await writeFile(join(directory, 'go.mod'), 'module vettool\n\ngo 1.24\n');
  await writeFile(join(directory, 'main.go'), VET_TOOL);
  const path = join(directory, 'vettool');
  const env = { ...process.env, GOFLAGS: '', CGO_ENABLED: '0' };
  await promisify(execFile)('go', ['build', '-o', path, '.'], { cwd: directory, env });
  return path;
}

/** As cmd/go/internal/work (vetConfig) and cmd/go/internal/work/buildid.go (toolID) have it. */
const VET_TOOL = `package main

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"strconv"
)

type config struct {
	Compiler, VetxOutput   string
	GoFiles                []string
	ImportMap, PackageFile map[string]string
	VetxOnly               bool
}

func main() {
	switch arg := os.Args[len(os.Args)-1]; arg {
	case "-V=full":
		fmt.Println("vettool version devel buildID=one")
	case "-flags":
		fmt.Println("[]")
	default:
		look(arg)
	}
}

func look(path string) {
	var c config
	check(json.Unmarshal(read(path), &c))
	check(os.WriteFile(c.VetxOutput, nil, 0o644))
	if c.VetxOnly {
		return
	}
	files := token.NewFileSet()
	exports := importer.ForCompiler(files, c.Compiler, func(path string) (io.ReadCloser, error) {
		return os.Open(c.PackageFile[path])
	})
	for _, name := range c.GoFiles {
		file, err := parser.ParseFile(files, name, nil, parser.ImportsOnly)
		check(err)
		for _, one := range file.Imports {
			report(files, one, exports, c)
		}
	}
	os.Exit(1)
}

func report(files *token.FileSet, one *ast.ImportSpec, exports types.Importer, c config) {
	path, err := strconv.Unquote(one.Path.Value)
	check(err)
	found, err := exports.Import(c.ImportMap[path])
	check(err)
	fmt.Fprintf(os.Stderr, "%v: imports %s with %d names\\n", files.Position(one.Pos()), path, len(found.Scope().Names()))
}

func read(path string) []byte {
	bytes, err := os.ReadFile(path)
	check(err)
	return bytes
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
`;

const TOML = 'github.com/BurntSushi/toml@v1.6.0';

/** Without a directory: one with Go's own cache. */
async function client(
  t: TestContext,
  cacheDir: string | undefined,
  remote: string,
  source = TOML,
): Promise<GoClient> {
  const flags = `--cache-dir=${cacheDir} --remote=${remote} --close-wait=60s --remote-timeout=20s`;
  const program = cacheDir === undefined ? undefined : `${process.execPath} ${PROGRAM} ${flags}`;
  const go = await corpusClient(source, program);
  t.after(() => go.dispose());
  return go;
}
