// Goal: what one machine has built no other builds again, through the real server; and whatever happens to the server,
// no build fails and no wrong byte is stored.
// Method: the real `go` command with the cache program, a directory and a HOME of its own for each machine, and
// `bin/astera serve` on loopback; outputs are hashed again afterwards.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdir, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { zstdCompressSync } from 'node:zlib';
import {
  BASE_HEADER,
  DELTA_ENCODING,
  NAMESPACE_HEADER,
  OUTPUT_ID_HEADER,
  SIZE_HEADER,
  TIME_HEADER,
} from '../../src/core/build-cache-wire.ts';
import { encodeDelta } from '../../src/core/delta.ts';
import { encodeDeltaFrame } from '../../src/core/delta-frames.ts';
import { CHUNK_BYTES } from '../../src/core/limits.ts';
import { encodePut, PUTS_OUTPUT_BYTES_MAX, type PutRecord } from '../../src/core/puts-wire.ts';
import { PROJECT_HEADER } from '../../src/core/session-wire.ts';
import { Astera, type AsteraOptions, runAstera } from '../support/astera.ts';
import { CacheClient } from '../support/cache-client.ts';
import { CHECKOUT } from '../support/corpus.ts';
import { GoClient, type GoResult } from '../support/go.ts';
import { OidcIssuer } from '../support/oidc-issuer.ts';
import { SlowRelay } from '../support/slow-relay.ts';
import { tempDir } from '../support/temp-dir.ts';

const PROGRAM = join(CHECKOUT, 'dist/cacheprog.mjs');
const MAIN = `package main

import (
	"encoding/json"
	"os"

	"example.com/app/lib"
)

func main() { json.NewEncoder(os.Stdout).Encode(lib.Numbers(3)) }
`;

async function serving(t: TestContext, options: Partial<AsteraOptions> = {}): Promise<Astera> {
  const astera = await Astera.start({ upstream: 'off', flags: ['--sumdb', 'off'], ...options });
  t.after(() => astera.dispose());
  return astera;
}

/** A machine with a HOME, a cache directory and a checkout of its own. */
async function machine(t: TestContext, remote: string, flags: readonly string[] = []) {
  const cacheDir = join(tempDir(t), 'cache');
  const program = [process.execPath, PROGRAM, `--cache-dir=${cacheDir}`, `--remote=${remote}`, ...flags];
  const go = await GoClient.create('off', {
    env: { CGO_ENABLED: '0', GOFLAGS: '-trimpath', GOCACHEPROG: program.join(' ') },
  });
  t.after(() => go.dispose());
  await mkdir(join(go.project, 'lib'), { recursive: true });
  await writeFile(join(go.project, 'go.mod'), 'module example.com/app\n\ngo 1.24\n');
  await writeFile(join(go.project, 'main.go'), MAIN);
  await writeFile(
    join(go.project, 'lib/lib.go'),
    'package lib\n\nfunc Numbers(n int) []int { return make([]int, n) }\n',
  );
  return { go, cacheDir };
}

/** Builds, and waits for the uploads: as long as it takes here. */
const PATIENT = ['--close-wait=60s', '--remote-timeout=20s'];

async function built(go: GoClient, ...flags: readonly string[]): Promise<GoResult> {
  const result = await go.run('build', ...flags, '-o', 'app', '.');
  assert.equal(result.code, 0, result.stderr);
  return result;
}

function compiles({ stderr }: GoResult): number {
  return stderr.split('\n').filter((line) => /\/compile /.test(line)).length;
}

function hashOf(path: string): string {
  return createHash('sha256').update(readFileSync(path)).digest('hex');
}

function assertWhole(cacheDir: string): void {
  for (const entry of readdirSync(join(cacheDir, 'output'), { withFileTypes: true, recursive: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    assert.equal(hashOf(path), path.slice(-64), path);
  }
}

/** `astera verify` re-hashes all that is stored. */
async function assertStoreWhole(astera: Astera): Promise<void> {
  const { code, stdout, stderr } = await runAstera(['verify', '--db', astera.db]);
  assert.equal(code, 0, `${stdout}${stderr}`);
}

/** What the cache program says of itself with `--metrics`. */
function told({ stderr }: GoResult, what: RegExp): number {
  return Number(new RegExp(`(\\d+) ${what.source}`).exec(stderr)?.[1]);
}

test('the second machine compiles nothing that the first has built, and asks for all of it at once', {
  timeout: 300_000,
}, async (t) => {
  const astera = await serving(t);
  const relay = await SlowRelay.start(astera.url, 20);
  relay.bytesPerMs = 6_250;
  t.after(() => relay.stop());
  const first = await machine(t, astera.url, PATIENT);
  assert.ok(compiles(await built(first.go, '-x')) > 20);
  const second = await machine(t, relay.url, [...PATIENT, '--metrics']);
  const { stderr } = await built(second.go, '-x');
  assert.equal(compiles({ code: 0, stdout: '', stderr }), 0);
  assert.equal(hashOf(join(second.go.project, 'app')), hashOf(join(first.go.project, 'app')));
  assertWhole(second.cacheDir);
  const line = { code: 0, stdout: '', stderr };
  // On a busy machine a get may wait too long for the stream, and is asked for alone.
  assert.ok(told(line, /requests/) < told(line, /hits/) / 3, stderr);
  assert.ok(told(line, /bytes prefetched/) > 1_000_000);
  assert.ok(told(line, /of them unused/) < 0.2 * told(line, /bytes prefetched/), stderr);
  // Each output once, and packed.
  assert.ok(relay.bytesDown < 0.4 * told(line, /bytes prefetched/), `${relay.bytesDown} bytes: ${stderr}`);
  await assertStoreWhole(astera);
});

test('the server gives out its client, and that one works', { timeout: 300_000 }, async (t) => {
  const astera = await serving(t);
  const program = await astera.get('cacheprog.mjs');
  assert.equal(program.status, 200);
  const bytes = Buffer.from(await program.arrayBuffer());
  assert.equal(program.headers.get('etag'), `"${createHash('sha256').update(bytes).digest('hex')}"`);
  const path = join(tempDir(t), 'cacheprog.mjs');
  await writeFile(path, bytes);
  assert.match(
    execFileSync(process.execPath, [path, '--cache-dir', tempDir(t)], { input: '' }).toString(),
    /"KnownCommands"/,
  );
});

const CGO_MAIN = `package main

// #include <astera-value.h>
import "C"

func main() { println(C.VALUE) }
`;

test('what cgo makes goes to hosts with the same C headers alone, and module indexes to none', {
  timeout: 600_000,
}, async (t) => {
  const astera = await serving(t);
  const [include, shared] = [tempDir(t), tempDir(t)];
  const host = async (value: number, imports: string) => {
    // All hosts have these at one path. Their sizes and times are equal too, as a copied tree's are.
    await writeFile(join(include, 'astera-value.h'), `#define VALUE ${value}\n`);
    await writeFile(join(shared, 'go.mod'), 'module example.com/shared\n');
    await writeFile(join(shared, 'lib.go'), `package shared\n\nimport _ "${imports}"\n`);
    for (const name of ['astera-value.h', 'lib.go']) {
      await utimes(join(name.endsWith('.h') ? include : shared, name), 1e9, 1e9);
    }
    const cacheDir = join(tempDir(t), 'cache');
    const flags = [`--cache-dir=${cacheDir}`, `--remote=${astera.url}`, '--share-cgo=same-host', ...PATIENT];
    const go = await GoClient.create('off', {
      env: {
        CGO_ENABLED: '1',
        CGO_CFLAGS: `-O2 -I${include}`,
        GOFLAGS: '-trimpath',
        GOCACHEPROG: [process.execPath, PROGRAM, ...flags].join(' '),
      },
    });
    t.after(() => go.dispose());
    await writeFile(join(go.project, 'go.mod'), 'module example.com/app\n\ngo 1.24\n');
    await writeFile(join(go.project, 'main.go'), CGO_MAIN);
    const listed = await go.run('-C', shared, 'list', '-f', '{{.Imports}}', '.');
    const { stderr } = await built(go, '-x');
    assertWhole(cacheDir);
    const ran = spawnSync(join(go.project, 'app'), { encoding: 'utf8' });
    const cgoRuns = stderr.split('\n').filter((line) => /\/cgo .*-importpath/.test(line)).length;
    return { imports: listed.stdout.trim(), value: ran.stderr.trim(), cgoRuns };
  };
  const first = await host(1, 'os');
  assert.deepEqual([first.imports, first.value], ['[os]', '1']);
  assert.ok(first.cgoRuns > 0);
  const other = await host(2, 'io');
  assert.deepEqual([other.imports, other.value], ['[io]', '2'], 'as without any cache');
  assert.ok(other.cgoRuns > 0);
  const equal = await host(1, 'os');
  assert.deepEqual(equal, { imports: '[os]', value: '1', cgoRuns: 0 });
  await assertStoreWhole(astera);
});

test('jobs of a CI put by tokens of its issuer, each where its claims let it', async (t) => {
  const issuer = await OidcIssuer.start();
  t.after(() => issuer.close());
  const authFile = join(tempDir(t), 'rules');
  for (const [name, claims, scopes] of [
    ['ci-main', 'repository=corp/app,ref=refs/heads/main', 'cache-write:main'],
    ['ci-pulls', 'repository=corp/app,event_name=pull_request', 'cache-write:{ref}'],
  ] as const) {
    const args = ['user', 'add', name, '--claims', claims, '--scopes', scopes, '--auth-file', authFile];
    assert.equal((await runAstera(args)).code, 0);
  }
  const oidc = ['--oidc-issuer', issuer.url, '--oidc-audience', 'astera'];
  const astera = await serving(t, { flags: ['--sumdb', 'off', '--auth-file', authFile, ...oidc] });
  assert.equal((await put(astera, `cache/output/${OUTPUT_ID}`, { body: OUTPUT })).status, 201);
  const nowS = Math.floor(Date.now() / 1000);
  const job = { iss: issuer.url, aud: 'astera', iat: nowS, exp: nowS + 300, repository: 'corp/app' };
  const pull = { ...job, event_name: 'pull_request', ref: 'refs/pull/7/merge' };
  const main = issuer.token({ ...job, ref: 'refs/heads/main' }, { alg: 'RS256' });
  for (const [why, token, namespace, status] of [
    ['a job of main', main, 'main', 201],
    ['a job of main in a namespace', main, 'refs/pull/7/merge', 403],
    ['a pull request', issuer.token(pull), 'refs/pull/7/merge', 201],
    ['a pull request in main', issuer.token(pull), 'main', 403],
    ["a pull request in another's", issuer.token(pull), 'refs/pull/8/merge', 403],
    ['another repository', issuer.token({ ...pull, repository: 'corp/x' }), 'refs/pull/7/merge', 403],
    ['another audience', issuer.token({ ...job, aud: 'x', ref: 'refs/heads/main' }), 'main', 401],
    ['signed by nobody', issuer.token(pull, { alg: 'none' }), 'refs/pull/7/merge', 401],
  ] as const) {
    const headers = { authorization: `Bearer ${token}`, [NAMESPACE_HEADER]: namespace, via: 'elsewhere' };
    assert.equal((await putAction(astera, headers)).status, status, why);
  }
  assert.equal(issuer.asked.length, 2, 'metadata and keys');
  assert.ok(!astera.log.includes(main.slice(-40)), 'no token in a log');
});

test('a branch reads what main has and writes to itself alone, and a reader with a key takes signed entries alone', async (t) => {
  const astera = await serving(t);
  const directory = tempDir(t);
  const key = join(directory, 'ci.key');
  assert.equal((await runAstera(['key', key])).code, 0);
  const opened = async (name: string, ...flags: readonly string[]) => {
    const command = [process.execPath, PROGRAM, `--cache-dir=${join(directory, name)}`] as const;
    return CacheClient.start({ command: [...command, `--remote=${astera.url}`, ...PATIENT, ...flags] });
  };
  const found = async (client: CacheClient, ...actions: readonly string[]) => {
    const answers = await Promise.all(actions.map((action) => client.get(action)));
    await client.close();
    return answers.map(({ DiskPath }) => DiskPath && readFileSync(DiskPath, 'utf8'));
  };
  for (const [name, flags, puts] of [
    ['ci', [`--sign-key=${key}`], { signed: 'by ci' }],
    ['pull', ['--namespace=pr/7', `--sign-key=${key}`], { branch: 'of pr/7' }],
    ['thief', [], { forged: 'by a thief' }],
    ['laptop', ['--namespace=pr/7'], { unsigned: 'of pr/7', signed: 'by a thief' }],
  ] as const) {
    const client = await opened(name, ...flags);
    for (const [action, body] of Object.entries(puts)) await client.put(action, Buffer.from(body));
    await client.close();
  }
  const all = ['signed', 'branch', 'forged', 'unsigned'] as const;
  const anybody = await opened('anybody');
  assert.deepEqual(await found(anybody, ...all), ['by ci', undefined, 'by a thief', undefined]);
  const careful = await opened('careful', '--trust-key', `${key}.pub`, '--metrics');
  assert.deepEqual(await found(careful, ...all), ['by ci', undefined, undefined, undefined]);
  assert.match(
    careful.lines.join('\n'),
    /without the signature of a trusted key.*\n.*1 entries without a trusted/,
  );
  const branch = await opened('branch', '--namespace=pr/7', '--trust-key', `${key}.pub`);
  // Its own entry is forged, and hides the main one's: a miss, never a wrong answer.
  assert.deepEqual(await found(branch, ...all), [undefined, 'of pr/7', undefined, undefined]);
  // Who compiles again signs what was not signed.
  const signer = await opened('signer', `--sign-key=${key}`);
  assert.equal((await signer.get('forged')).Miss, true);
  await signer.put('forged', Buffer.from('by a thief'));
  await signer.close();
  const wrong = await opened('wrong', '--trust-key', `${key}.pub`, `--trust-key=${key}`);
  assert.equal(await wrong.exited, 2);
  assert.match(
    wrong.lines.join('\n'),
    /^astera cacheprog: .*--trust-key .*ci\.key.: no ed25519 public keys in PEM$/,
  );
});

test('killed at any moment, the server costs no build, and keeps no wrong byte', {
  timeout: 600_000,
}, async (t) => {
  const db = join(tempDir(t), 'a.db');
  let astera = await serving(t, { db });
  const { port } = new URL(astera.url);
  const first = await machine(t, astera.url, ['--close-wait=200ms', '--remote-timeout=500ms']);
  for (let round = 0; round < 6; round++) {
    await writeFile(join(first.go.project, 'lib/more.go'), `package lib\n\nconst More = ${round}\n`);
    const building = built(first.go);
    await setImmediate();
    await astera.kill();
    await building;
    astera = await serving(t, { db, addr: `127.0.0.1:${port}` });
  }
  await built(first.go);
  assertWhole(first.cacheDir);
  await assertStoreWhole(astera);
});

test('machines that build at once share what each of them builds', { timeout: 600_000 }, async (t) => {
  const astera = await serving(t);
  const builders = await Promise.all([1, 2].map(() => machine(t, astera.url, PATIENT)));
  await Promise.all(builders.map(({ go }) => built(go)));
  const readers = await Promise.all(Array.from({ length: 6 }, () => machine(t, astera.url, PATIENT)));
  const results = await Promise.all(readers.map(({ go }) => built(go, '-x')));
  assert.deepEqual(results.map(compiles), [0, 0, 0, 0, 0, 0]);
  const machines = [...builders, ...readers];
  assert.equal(new Set(machines.map(({ go }) => hashOf(join(go.project, 'app')))).size, 1);
  for (const { cacheDir } of machines) assertWhole(cacheDir);
  await assertStoreWhole(astera);
});

test('over a slow line bodies go packed, up and down', async (t) => {
  const astera = await serving(t);
  const relay = await SlowRelay.start(astera.url, 4);
  t.after(() => relay.stop());
  const bodies = [
    Buffer.from('one line of text\n'.repeat(300)),
    Buffer.from(`${'another line\n'.repeat(100_000)}${randomBytes(100).toString('hex')}`),
    randomBytes(10_000),
    Buffer.alloc(0),
  ];
  const program = async (cacheDir: string) => {
    const flags = [`--cache-dir=${cacheDir}`, `--remote=${relay.url}`, ...PATIENT];
    const client = await CacheClient.start({ command: [process.execPath, PROGRAM, ...flags] });
    t.after(() => client.child.kill('SIGKILL'));
    return client;
  };
  const first = await program(join(tempDir(t), 'cache'));
  for (const [at, body] of bodies.entries()) await first.put(`action ${at}`, body);
  await first.close();
  assert.ok(relay.bytesUp < 40_000, `${relay.bytesUp} bytes up`);
  const second = await program(join(tempDir(t), 'cache'));
  await second.get('nothing'); // Its answer shows what the line is.
  for (const [at, body] of bodies.entries()) {
    const { DiskPath: path = '' } = await second.get(`action ${at}`);
    assert.ok(readFileSync(path).equals(body), `body ${at}`);
  }
  await second.close();
  assert.ok(relay.bytesDown < 40_000, `${relay.bytesDown} bytes down`);
  await assertStoreWhole(astera);
});

test('puts that come together are checked one by one', async (t) => {
  const astera = await serving(t);
  const record = (body: string, more: Partial<PutRecord> = {}): PutRecord => ({
    actionId: createHash('sha256').update(`action ${body}`).digest('hex'),
    outputId: createHash('sha256').update(body).digest('hex'),
    time: '1',
    size: body.length,
    isPacked: false,
    note: undefined,
    body: Buffer.from(body),
    ...more,
  });
  const long = 'long '.repeat(2_000);
  const large = 'l'.repeat(PUTS_OUTPUT_BYTES_MAX + 1);
  const puts = [
    record('one'),
    record(''),
    record(long, { isPacked: true, body: zstdCompressSync(long) }),
    record('other bytes', { outputId: OUTPUT_ID }),
    record('another output', { actionId: record('one').actionId }),
    record('cut', { size: 2 }),
    record('no zstd', { isPacked: true }),
    record('last'),
    record(large, { isPacked: true, body: zstdCompressSync(large) }),
  ];
  const post = (body: Uint8Array<ArrayBuffer>) => astera.get('cache/puts', { method: 'POST', body });
  const answer = await post(new Uint8Array(Buffer.concat(puts.map(encodePut))));
  assert.deepEqual([...Buffer.from(await answer.arrayBuffer())], [0, 0, 0, 2, 1, 2, 2, 0, 2]);
  for (const { actionId, outputId } of [puts[0], puts[1], puts[2], puts[7]].filter(
    (one) => one !== undefined,
  )) {
    const got = await astera.get(`cache/action/${actionId}`);
    assert.equal(
      createHash('sha256')
        .update(Buffer.from(await got.arrayBuffer()))
        .digest('hex'),
      outputId,
    );
  }
  assert.equal((await post(new Uint8Array(encodePut(record('one')).subarray(0, 80)))).status, 400);
  await assertStoreWhole(astera);
});

test('packed bodies are refused where they are packed otherwise', async (t) => {
  const astera = await serving(t);
  const packed = zstdCompressSync(OUTPUT);
  for (const [why, body, headers, status] of [
    ['no size', packed, {}, 400],
    ['a size that is none', packed, { [SIZE_HEADER]: '-5' }, 400],
    ['a size over the bound', packed, { [SIZE_HEADER]: '99999999999' }, 400],
    ['another size', packed, { [SIZE_HEADER]: '6' }, 400],
    ['not packed', Buffer.from(OUTPUT), { [SIZE_HEADER]: '5' }, 400],
    ['another encoding', packed, { 'content-encoding': 'gzip', [SIZE_HEADER]: '5' }, 400],
    ['as it should be', packed, { [SIZE_HEADER]: '5' }, 201],
  ] as const) {
    const all = { 'content-encoding': 'zstd', ...headers };
    const answer = await put(astera, `cache/output/${OUTPUT_ID}`, { body, headers: all });
    assert.equal(answer.status, status, why);
  }
  assert.equal(await (await astera.get(`cache/output/${OUTPUT_ID}`)).text(), OUTPUT);
});

const OUTPUT = 'hello';
const OUTPUT_ID = createHash('sha256').update(OUTPUT).digest('hex');
const ACTION_ID = 'a'.repeat(64);

function put(astera: Astera, path: string, init: RequestInit = {}): Promise<Response> {
  return astera.get(path, { method: 'PUT', ...init });
}

function putAction(astera: Astera, headers: Record<string, string> = {}): Promise<Response> {
  const named = { [OUTPUT_ID_HEADER]: OUTPUT_ID, [TIME_HEADER]: '1700000000000000000' };
  return put(astera, `cache/action/${ACTION_ID}`, { headers: { ...named, ...headers } });
}

test('an output may be put as deltas against another one; all that is wrong with them is refused, and nothing of it is kept', async (t) => {
  const astera = await serving(t);
  const old = randomBytes(600_000);
  const changed = Buffer.concat([old.subarray(0, 70_000), Buffer.from('changed'), old.subarray(70_000)]);
  const digest = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
  const put = async (
    frames: readonly Buffer[],
    { of = changed, base = digest(old), size = changed.length, encoding = DELTA_ENCODING } = {},
  ) => {
    const { status } = await fetch(`${astera.url}/cache/output/${digest(of)}`, {
      method: 'PUT',
      body: Buffer.concat(frames),
      headers: { 'content-encoding': encoding, [BASE_HEADER]: base, [SIZE_HEADER]: String(size) },
    });
    return status;
  };
  const good = [0, 1, 2].map((seq) => {
    const at = seq * CHUNK_BYTES;
    const content = changed.subarray(at, at + CHUNK_BYTES);
    return encodeDeltaFrame(encodeDelta({ at, content }, { at: 0, bytes: old }));
  });
  assert.equal(await put(good), 404, 'what they are against is not here');
  const whole = await fetch(`${astera.url}/cache/output/${digest(old)}`, { method: 'PUT', body: old });
  assert.equal(whole.status, 201);
  const far = encodeDeltaFrame(Buffer.from([0, 100, ...[0xc0, 0xcf, 0x48]])); // 100 bytes from 593,888 on.
  const wrong: { why: string; status: Promise<number> }[] = [
    { why: 'too few', status: put(good.slice(1)) },
    { why: 'too many', status: put([...good, ...good]) },
    { why: 'another order', status: put(good.toReversed()) },
    { why: 'garbage', status: put([randomBytes(500)]) },
    { why: 'another output', status: put(good, { of: randomBytes(changed.length) }) },
    { why: 'another size', status: put(good, { size: 5 }) },
    { why: 'a size that has grown too much', status: put(good, { size: 9_000_000 }) },
    { why: 'a copy from too far', status: put([far], { of: old.subarray(593_888, 593_988), size: 100 }) },
    { why: 'no base', status: put(good, { base: '' }) },
    { why: 'a base and another encoding', status: put(good, { encoding: 'zstd' }) },
  ];
  for (const { why, status } of wrong) assert.equal(await status, 400, why);
  const head = await fetch(`${astera.url}/cache/output/${digest(changed)}`, { method: 'HEAD' });
  assert.equal(head.status, 404);
  assert.equal(await put(good), 201);
  const got = await fetch(`${astera.url}/cache/output/${digest(changed)}`);
  assert.ok(Buffer.from(await got.arrayBuffer()).equals(changed));
  await assertStoreWhole(astera);
});

test('what is put wrongly is refused, each with its status', async (t) => {
  const astera = await serving(t);
  const statuses: [string, Response, number][] = [
    ['an action without its output', await putAction(astera), 404],
    ['other bytes than the ID names', await put(astera, `cache/output/${OUTPUT_ID}`, { body: 'hallo' }), 400],
    ['no bytes where there are some', await put(astera, `cache/output/${OUTPUT_ID}`), 400],
    [
      'an ID in capitals',
      await put(astera, `cache/output/${OUTPUT_ID.toUpperCase()}`, { body: OUTPUT }),
      400,
    ],
    ['a short ID', await put(astera, 'cache/output/abc', { body: OUTPUT }), 400],
    ['the output', await put(astera, `cache/output/${OUTPUT_ID}`, { body: OUTPUT }), 201],
    ['an action with a body', await putWithBody(astera), 413],
    ['an action without headers', await put(astera, `cache/action/${ACTION_ID}`), 400],
    ['a time that is none', await putAction(astera, { [TIME_HEADER]: 'now' }), 400],
    ['a namespace that is none', await putAction(astera, { 'astera-namespace': '../x y' }), 400],
    ['the action', await putAction(astera), 201],
    ['the action again', await putAction(astera), 201],
    ['another method', await astera.get(`cache/action/${ACTION_ID}`, { method: 'DELETE' }), 405],
  ];
  for (const [why, { status }, expected] of statuses) assert.equal(status, expected, why);
  const empty = createHash('sha256').digest('hex');
  assert.equal((await put(astera, `cache/output/${empty}`)).status, 201, 'an empty output');
  assert.equal((await putAction(astera, { [OUTPUT_ID_HEADER]: empty })).status, 409, 'the first put wins');
  const got = await astera.get(`cache/action/${ACTION_ID}`);
  assert.deepEqual(
    [got.status, got.headers.get(OUTPUT_ID_HEADER), got.headers.get(TIME_HEADER), await got.text()],
    [200, OUTPUT_ID, '1700000000000000000', OUTPUT],
  );
  assert.equal(got.headers.get('cache-control'), 'private, no-store');
  assert.equal((await astera.get(`cache/action/${'b'.repeat(64)}`)).status, 404);
  for (const [id, status] of [
    [OUTPUT_ID, 200],
    ['b'.repeat(64), 404],
  ] as const) {
    assert.equal((await astera.get(`cache/output/${id}`, { method: 'HEAD' })).status, status);
  }
});

function putWithBody(astera: Astera): Promise<Response> {
  return put(astera, `cache/action/${ACTION_ID}`, {
    body: OUTPUT,
    headers: { [OUTPUT_ID_HEADER]: OUTPUT_ID, [TIME_HEADER]: '1' },
  });
}

test('only programs on this machine may put: no page in its browser, and nobody behind a proxy', async (t) => {
  const astera = await serving(t);
  for (const [header, value] of [
    ['origin', 'https://site.example'],
    ['via', '1.1 proxy'],
    ['forwarded', 'for=10.0.0.1'],
    ['x-forwarded-for', '10.0.0.1'],
    ['x-real-ip', '10.0.0.1'],
  ] as const) {
    const refused = await put(astera, `cache/output/${OUTPUT_ID}`, {
      body: OUTPUT,
      headers: { [header]: value },
    });
    assert.equal(refused.status, 401, header);
  }
  assert.equal((await put(astera, `cache/output/${OUTPUT_ID}`, { body: OUTPUT })).status, 201);
});

test('logins put and get by their scopes and in their namespaces alone', async (t) => {
  const authFile = join(tempDir(t), 'users');
  const token = async (name: string, scope: string) => {
    const { code, stdout, stderr } = await runAstera([
      ...['user', 'add', name, '--token', '--scopes', scope, '--auth-file', authFile],
    ]);
    assert.equal(code, 0, stderr);
    return stdout.trim().split('\n').at(-1) ?? '';
  };
  const [writer, reader] = [await token('ci', 'cache-write'), await token('guest', 'private')];
  const astera = await serving(t, {
    flags: ['--sumdb', 'off', '--auth-file', authFile, '--cache-read-token'],
  });
  for (const [why, authorization, status] of [
    ['no login', undefined, 401],
    ['a wrong one', 'Bearer nobody', 401],
    ['another scope', `Bearer ${reader}`, 403],
    ['the right scope', `Bearer ${writer}`, 201],
  ] as const) {
    const headers = { 'x-forwarded-for': '10.0.0.1', ...(authorization !== undefined && { authorization }) };
    const answer = await put(astera, `cache/output/${OUTPUT_ID}`, { body: OUTPUT, headers });
    assert.equal(answer.status, status, why);
  }
  assert.equal(
    (await put(astera, `token/${writer}/cache/output/${OUTPUT_ID}`, { body: OUTPUT })).status,
    201,
  );
  const [pulls, user] = [await token('pulls', 'cache-write:pr/*'), await token('user', 'cache-read')];
  process.kill(astera.pid, 'SIGHUP');
  while (!/read again: users/.test(astera.log)) await setImmediate();
  const ask = async (method: string, token: string | undefined, namespace: string) => {
    const answer = await astera.get(`cache/action/${ACTION_ID}`, {
      method,
      headers: {
        [OUTPUT_ID_HEADER]: OUTPUT_ID,
        [TIME_HEADER]: '1',
        [NAMESPACE_HEADER]: namespace,
        via: 'elsewhere',
        ...(token !== undefined && { authorization: `Bearer ${token}` }),
      },
    });
    const { status, headers } = answer;
    assert.equal(headers.has('www-authenticate'), status === 401);
    return status === 200 ? `200 ${headers.get(NAMESPACE_HEADER) ?? 'main'}` : String(status);
  };
  for (const [method, token, namespace, expected] of [
    ['PUT', pulls, 'main', '403'],
    ['PUT', pulls, 'prod', '403'],
    ['PUT', user, 'pr/7', '403'],
    ['PUT', pulls, 'pr/7', '201'],
    ['GET', undefined, 'pr/7', '401'],
    ['GET', reader, 'pr/7', '403'],
    ['GET', user, 'pr/7', '200 pr/7'],
    ['GET', pulls, 'pr/7', '200 pr/7'],
    ['GET', pulls, 'team', '403'],
    ['GET', user, 'main', '404'],
    ['PUT', writer, 'main', '201'],
    ['GET', pulls, 'main', '200 main'],
    ['GET', pulls, 'pr/8', '200 main'],
    ['GET', user, 'pr/7', '200 pr/7'],
  ] as const) {
    const why = `${method} ${namespace} by ${{ [pulls]: 'pulls', [user]: 'user' }[token ?? ''] ?? 'another'}`;
    assert.equal(await ask(method, token, namespace), expected, why);
  }
  assert.equal((await astera.get(`cache/output/${OUTPUT_ID}`, { headers: { via: 'x' } })).status, 401);
  // What does many at once needs the rights of one.
  const many = async (method: string, path: string, token: string) => {
    const headers = { via: 'x', authorization: `Bearer ${token}`, [PROJECT_HEADER]: ACTION_ID };
    const body = method === 'GET' ? null : '';
    return (await astera.get(path, { method, headers: { ...headers, [NAMESPACE_HEADER]: 'pr/7' }, body }))
      .status;
  };
  for (const [method, path, byReader, byWriter] of [
    ['POST', 'cache/puts', 403, 200],
    ['PUT', `cache/session/${ACTION_ID}`, 403, 201],
    ['POST', `cache/session/${ACTION_ID}`, 200, 200],
    ['GET', 'cache/filter', 200, 200],
  ] as const) {
    assert.equal(await many(method, path, pulls), byWriter, `${method} ${path}`);
    assert.equal(await many(method, path, user), byReader, `${method} ${path}`);
    assert.equal(await many(method, path, reader), 403, `${method} ${path}`);
  }
  assert.equal((await astera.get(`cache/action/${ACTION_ID}`)).status, 200, 'a program on this machine');
  for (const secret of [writer, pulls]) assert.ok(!astera.log.includes(secret), 'no token in a log');
});
