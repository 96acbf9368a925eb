// Goal: what a neighbour has built of the next commit comes as deltas, and no build is wrong for it: a damaged old output, another
// platform, a branch or a project that nobody has built cost bytes or time at most.
// Method: the real `go` command with the cache program behind a relay that delays, a directory for each machine; each program is
// compared with the one that a build without the cache makes, outputs are hashed again, and bytes are counted on the line.

import assert from 'node:assert/strict';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Astera, parseMetrics, runAstera, total } from '../support/astera.ts';
import { assertWhole, filesIn, programHash, succeeds } from '../support/cached-build.ts';
import { CHECKOUT } from '../support/corpus.ts';
import { GoClient, type GoResult } from '../support/go.ts';
import { SlowRelay } from '../support/slow-relay.ts';
import { tempDir } from '../support/temp-dir.ts';

const PROGRAM = join(CHECKOUT, 'dist/cacheprog.mjs');
const PATIENT = ['--close-wait=60s', '--remote-timeout=20s', '--metrics'];

/** Its archive has some 300 kB, and those above it all that it exports. */
function deepPackage(answer: number): string {
  const functions = Array.from(
    { length: 300 },
    (_, n) => `func F${n}(a []int) (sum int) {
	for at, one := range a {
		sum += one*${n + 3} + at%${n + 7}
	}
	println("F${n}", sum)
	return sum ^ ${n * 7919}
}
`,
  );
  return `package deep\n\n${functions.join('\n')}\nfunc Answer() int { return F1(nil) + ${answer} }\n`;
}

const MID = `package mid

import "example.com/app/deep"

func Answer() int { return deep.Answer() + deep.F2([]int{1}) }
`;
const MAIN = `package main

import "example.com/app/mid"

func main() { println(mid.Answer()) }
`;

type Machine = { readonly go: GoClient; readonly cacheDir: string };

/** A machine with a directory of its own. @param remote undefined: it has Go's own cache */
async function machine(
  t: TestContext,
  remote: string | undefined,
  { flags = [] as readonly string[], module = 'example.com/app' } = {},
): Promise<Machine> {
  const cacheDir = join(tempDir(t), 'cache');
  const program = [
    process.execPath,
    PROGRAM,
    `--cache-dir=${cacheDir}`,
    `--remote=${remote}`,
    ...PATIENT,
    ...flags,
  ];
  const go = await GoClient.create('off', {
    env: {
      CGO_ENABLED: '0',
      GOFLAGS: '-trimpath',
      ...(remote !== undefined && { GOCACHEPROG: program.join(' ') }),
    },
  });
  t.after(() => go.dispose());
  for (const name of ['deep', 'mid']) await mkdir(join(go.project, name));
  await writeFile(join(go.project, 'go.mod'), `module ${module}\n\ngo 1.24\n`);
  await writeFile(join(go.project, 'mid/mid.go'), MID.replace('example.com/app', module));
  await writeFile(join(go.project, 'main.go'), MAIN.replace('example.com/app', module));
  return { go, cacheDir };
}

/** Builds one commit: what the deep package answers differs. */
function build({ go }: Machine, answer: number, goos = 'linux'): Promise<GoResult> {
  writeFileSync(join(go.project, 'deep/deep.go'), deepPackage(answer));
  return succeeds(
    { run: (...args) => go.runProgram('env', `GOOS=${goos}`, 'go', ...args) },
    'build',
    '-x',
    '-o',
    'app',
    '.',
  );
}

function compiles({ stderr }: GoResult): number {
  return stderr.split('\n').filter((line) => /\/compile /.test(line)).length;
}

/** Bytes that came as deltas, and the bytes of these, as the program tells them. */
function deltasOf({ stderr }: GoResult): { readonly content: number; readonly bytes: number } {
  const [, content, bytes] = /(\d+) of them as deltas of (\d+) bytes/.exec(stderr) ?? [];
  return { content: Number(content), bytes: Number(bytes) };
}

/** The outputs that have the deep package's code. */
function deepOutputs({ cacheDir }: Machine): string[] {
  return filesIn(join(cacheDir, 'output')).filter((path) =>
    readFileSync(path).includes('go:cuinfo.packagename.example.com/app/deep'),
  );
}

test('the next commit', { timeout: 600_000 }, async (t) => {
  const astera = await Astera.start({ upstream: 'off', flags: ['--sumdb', 'off'] });
  t.after(() => astera.dispose());
  // The client tells a tunnel from loopback by its answers.
  const relay = await SlowRelay.start(astera.url, 15);
  t.after(() => relay.stop());
  const clean = await machine(t, undefined);
  const neighbour = await machine(t, astera.url);
  const second = await machine(t, relay.url);
  const without = await machine(t, relay.url, { flags: ['--deltas=false'] });
  /** Builds as `of` does what the neighbour has built, and holds it against a clean build. */
  const follow = async (of: Machine, answer: number) => {
    await build(clean, answer);
    const before = relay.bytesDown;
    const result = await build(of, answer);
    assert.equal(programHash(of.go), programHash(clean.go));
    assertWhole(of.cacheDir);
    return { result, bytes: relay.bytesDown - before };
  };
  await build(neighbour, 1);
  for (const one of [second, without]) await follow(one, 1);
  await build(neighbour, 2);

  await t.test('comes as deltas, a small part of the bytes', async () => {
    const { result, bytes } = await follow(second, 2);
    assert.equal(compiles(result), 0, result.stderr);
    const deltas = deltasOf(result);
    assert.ok(deltas.content > 100_000 && deltas.bytes < deltas.content / 50, result.stderr);
    const metrics = parseMetrics(await (await fetch(`${astera.url}/metrics`)).text());
    assert.equal(total(metrics, 'astera_buildcache_delta_content_bytes_total'), deltas.content);
    assert.equal(total(metrics, 'astera_buildcache_delta_bytes_total'), deltas.bytes);
    const whole = await follow(without, 2);
    assert.equal(deltasOf(whole.result).content, 0);
    assert.ok(bytes < whole.bytes / 2, `${bytes} bytes, ${whole.bytes} without deltas`);
  });

  await t.test('comes whole where the old outputs are gone', async () => {
    for (const path of deepOutputs(second)) rmSync(path);
    await build(neighbour, 3);
    const { result } = await follow(second, 3);
    assert.equal(compiles(result), 0, result.stderr);
  });

  await t.test('comes whole where the old output is damaged', async () => {
    const damaged = deepOutputs(second);
    assert.ok(damaged.length > 0);
    for (const path of damaged) writeFileSync(path, readFileSync(path).fill(0, 5_000, 200_000));
    for (const one of [neighbour, clean]) await build(one, 4);
    const result = await build(second, 4);
    assert.equal(compiles(result), 0, result.stderr);
    assert.equal(programHash(second.go), programHash(clean.go));
    for (const path of damaged) rmSync(path, { force: true });
    assertWhole(second.cacheDir);
  });

  await t.test('of a branch is told by what main has', async (t) => {
    const flags = ['--namespace=branch'];
    const [writer, reader] = [
      await machine(t, astera.url, { flags }),
      await machine(t, relay.url, { flags }),
    ];
    await follow(reader, 4);
    await build(writer, 5);
    const { result } = await follow(reader, 5);
    assert.equal(compiles(result), 0, result.stderr);
    assert.ok(deltasOf(result).content > 100_000, result.stderr);
  });

  await t.test('another platform, and a commit that nobody has built', async () => {
    await build(neighbour, 4, 'netbsd');
    const result = await build(second, 4, 'netbsd');
    assert.equal(compiles(result), 0, result.stderr);
    assert.equal(programHash(second.go), programHash(neighbour.go));
    assert.ok(compiles((await follow(second, 6)).result) >= 2);
  });

  await t.test('goes up as deltas, and is stored whole', async (t) => {
    const [writer, reader] = [await machine(t, relay.url), await machine(t, astera.url)];
    await build(writer, 20);
    const before = relay.bytesUp;
    const { stderr } = await build(writer, 21);
    const [, content, bytes] = /(\d+) bytes uploaded as deltas of (\d+) bytes/.exec(stderr) ?? [];
    assert.ok(Number(content) > 100_000 && Number(bytes) < Number(content) / 50, stderr);
    assert.ok(relay.bytesUp - before < Number(content) / 8, `${relay.bytesUp - before} bytes up`);
    const result = await build(reader, 21);
    assert.equal(compiles(result), 0, result.stderr);
    assert.equal(programHash(reader.go), programHash(writer.go));
    assertWhole(reader.cacheDir);
    const { code, stdout } = await runAstera(['verify', '--db', astera.db]);
    assert.equal(code, 0, stdout);
  });

  await t.test('a project never seen compiles its own packages', async (t) => {
    const other = await machine(t, relay.url, { module: 'example.com/other' });
    const result = await build(other, 1);
    assert.ok(compiles(result) >= 3);
    assert.equal(deltasOf(result).content, 0);
    assertWhole(other.cacheDir);
  });
});
