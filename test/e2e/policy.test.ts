// Goal: the go command chooses what the policy of the server allows, and shows its user why it can't have the rest.
// Method: a real Astera and a real `go`; modules whose releases are of yesterday, of last month and of long ago. `go list -deps`
// fetches what `go build` does, and compiles nothing.

import assert from 'node:assert/strict';
import { appendFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Astera, runAstera } from '../support/astera.ts';
import { GoClient } from '../support/go.ts';
import { LocalUpstream } from '../support/local-upstream.ts';
import type { MadeUpModule } from '../support/module-zip.ts';
import { tempDir } from '../support/temp-dir.ts';

const LIB = 'made-up.example/lib';
const TOOLCHAIN = 'golang.org/toolchain';
const DAY_MS = 86_400_000;

function daysAgo(days: number): string {
  return new Date(Date.now() - days * DAY_MS).toISOString();
}

const releases: readonly MadeUpModule[] = [
  { path: LIB, version: 'v1.0.0', contentBytes: 100, time: daysAgo(700) },
  { path: LIB, version: 'v1.1.0', contentBytes: 100, time: daysAgo(30) },
  { path: LIB, version: 'v1.1.1', contentBytes: 100, time: daysAgo(2) },
  { path: LIB, version: 'v1.2.0', contentBytes: 100, time: daysAgo(1) },
];

async function start(t: TestContext, flags: readonly string[]) {
  const upstream = await LocalUpstream.start({ madeUp: releases, branches: ['master'] });
  t.after(() => upstream.close());
  const astera = await Astera.start({ upstream: upstream.url, flags: ['--verify', 'off', ...flags] });
  t.after(() => astera.dispose());
  return { upstream, astera };
}

/** A client with a program that imports the library. */
async function client(t: TestContext, proxy: string, env: Record<string, string> = {}): Promise<GoClient> {
  const go = await GoClient.create(proxy, { env });
  t.after(() => go.dispose());
  writeFileSync(join(go.project, 'main.go'), `package main\n\nimport _ "${LIB}"\n\nfunc main() {}\n`);
  return go;
}

async function done(go: GoClient, ...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await go.run(...args);
  assert.equal(code, 0, `go ${args.join(' ')}: ${stderr}`);
  return stdout.trim();
}

async function refused(go: GoClient, ...args: readonly string[]): Promise<string> {
  const { code, stderr } = await go.run(...args);
  assert.notEqual(code, 0, `go ${args.join(' ')} must fail`);
  return stderr;
}

const chosen = (go: GoClient) => done(go, 'list', '-m', '-f', '{{.Version}}', LIB);

const TOO_YOUNG =
  /cannot give "made-up\.example\/lib@v1\.2\.0" yet: this server gives versions that are 7 days old; it is of \S+ and will be here from \S+ on/;

test('go get -u chooses the newest release that is old enough, and a young one is told of', async (t) => {
  const { astera } = await start(t, ['--min-age', '7d']);
  const go = await client(t, astera.url);
  await done(go, 'get', `${LIB}@v1.0.0`);
  await done(go, 'get', '-u', './...');
  assert.equal(await chosen(go), 'v1.1.0');
  await done(go, 'get', '-u=patch', './...');
  assert.equal(await chosen(go), 'v1.1.0');
  await done(go, 'get', `${LIB}@latest`);
  assert.equal(await chosen(go), 'v1.1.0');
  assert.equal(await done(go, 'list', '-m', '-versions', LIB), `${LIB} v1.0.0 v1.1.0`);
  assert.match(await refused(go, 'get', `${LIB}@v1.2.0`), TOO_YOUNG);
  assert.match(await refused(go, 'get', `${LIB}@master`), TOO_YOUNG);
  const tidy = await client(t, astera.url);
  await done(tidy, 'mod', 'tidy');
  assert.equal(await chosen(tidy), 'v1.1.0');
  assert.ok(((await astera.metrics()).get('astera_policy_refusals_total{reason="too-young"}') ?? 0) >= 2);
  await astera.logged(/"why":"cannot give \\"made-up[^\n]*"msg":"refused by the policy"/);
});

test('a pinned go.sum still downloads', async (t) => {
  const { upstream, astera } = await start(t, ['--min-age', '7d']);
  const author = await client(t, upstream.url);
  await done(author, 'get', `${LIB}@v1.2.0`);
  await done(author, 'mod', 'tidy');
  const pinned = async (proxy: string) => {
    const go = await client(t, proxy);
    await go.takeFrom(author.project);
    return go;
  };
  const go = await pinned(astera.url);
  await done(go, 'list', '-deps', '.');
  await done(go, 'mod', 'tidy');
  assert.deepEqual(await go.moduleFiles(), await author.moduleFiles());
  assert.match(await refused(await pinned(astera.url), 'mod', 'download'), TOO_YOUNG);

  const warmed = await runAstera(['warm', join(author.project, 'go.sum'), '--db', astera.db]);
  assert.equal(warmed.code, 0, warmed.stderr);
  assert.equal(
    (await astera.get(`${LIB}/@v/v1.2.0.info`)).status,
    404,
    'warm stores it, and it is as young as before',
  );

  const { astera: open } = await start(t, ['--min-age', '7d', '--min-age-exact=off']);
  await done(await pinned(open.url), 'mod', 'download');
  const other = await client(t, open.url);
  await done(other, 'get', `${LIB}@v1.2.0`);
  await done(other, 'get', `${LIB}@v1.0.0`);
  await done(other, 'get', '-u', './...');
  assert.equal(await chosen(other), 'v1.1.0', 'by choice a young one is still not taken');
});

test('a denied version fails with the reason on the screen, and SIGHUP changes what is denied', async (t) => {
  const policy = join(tempDir(t), 'policy');
  const config = join(tempDir(t), 'astera.conf');
  writeFileSync(policy, `deny ${LIB}@<v1.1.0 CVE-2026-1: take v1.1.0 or newer\n`);
  writeFileSync(config, `policy = ${policy}\ndeny = ${TOOLCHAIN}@>=v0.0.1-go1.98\ndeny = ${LIB}@v1.2.0\n`);
  const { upstream, astera } = await start(t, ['--config', config]);
  const reason =
    /403 Forbidden\s+server response: cannot give "made-up\.example\/lib@v1\.0\.0": denied by the policy of this server \(made-up\.example\/lib@<v1\.1\.0\): CVE-2026-1: take v1\.1\.0 or newer/;

  // Clients that would go elsewhere after a 404 stop at a 403.
  const go = await client(t, `${astera.url},${upstream.url}`);
  assert.match(await refused(go, 'get', `${LIB}@v1.0.0`), reason);
  await done(go, 'get', `${LIB}@latest`);
  assert.equal(await chosen(go), 'v1.1.1');
  assert.equal(await done(go, 'list', '-m', '-versions', LIB), `${LIB} v1.1.0 v1.1.1`);

  const author = await client(t, upstream.url);
  await done(author, 'get', `${LIB}@v1.0.0`);
  await done(author, 'mod', 'tidy');
  const pinned = await client(t, astera.url);
  await pinned.takeFrom(author.project);
  assert.match(await refused(pinned, 'list', '-deps', '.'), reason);

  const newer = await client(t, astera.url, { GOTOOLCHAIN: 'go1.99.0' });
  assert.match(
    await refused(newer, 'version'),
    /cannot give "golang\.org\/toolchain@v0\.0\.1-go1\.99\.0\.[a-z0-9-]+": denied/,
  );

  const hangups = () => astera.log.split('SIGHUP').length;
  const hangUp = async () => {
    const before = hangups();
    process.kill(astera.pid, 'SIGHUP');
    while (hangups() === before) await astera.get('healthz');
  };
  writeFileSync(policy, 'deny made-up.example/lib@<v1\n');
  await hangUp();
  await astera.logged(/cannot read --policy [^\n]*line 1: cannot read pattern/);
  assert.match(await refused(pinned, 'list', '-deps', '.'), reason, 'a malformed file changes nothing');
  writeFileSync(policy, '');
  appendFileSync(config, `allow = ${LIB}@v1.2.0\n`);
  await hangUp();
  await astera.logged(/read again: the policy/);
  await done(pinned, 'list', '-deps', '.');
  await done(go, 'get', `${LIB}@latest`);
  assert.equal(await chosen(go), 'v1.2.0');
  writeFileSync(policy, `deny ${LIB}\n`);
  writeFileSync(config, `policy = ${policy}\n`);
  await hangUp();
  const stored = await astera.get(`cached-only/${LIB}/@v/v1.2.0.zip`);
  assert.deepEqual([stored.status, stored.headers.get('content-type')], [403, 'text/plain; charset=utf-8']);
  assert.match(
    await stored.text(),
    /^cannot give "made-up\.example\/lib@v1\.2\.0": denied by the policy[^\n]*\n$/,
  );
  assert.equal((await astera.get(`${LIB}/@v/v1.2.0.info`, { method: 'HEAD' })).status, 403);
  assert.match(
    await refused(await client(t, astera.url), 'get', LIB),
    /cannot give "made-up\.example\/lib": denied/,
  );
  assert.ok(((await astera.metrics()).get('astera_policy_refusals_total{reason="denied"}') ?? 0) >= 5);
});

test('a malformed policy is one line of text, and stops the start', async (t) => {
  const policy = join(tempDir(t), 'policy');
  writeFileSync(policy, 'allow a.example\nforbid b.example\n');
  const rows = [
    {
      flags: ['--deny', 'a.example@1.0.0'],
      says: /bad value for --deny: cannot read pattern "a\.example@1\.0\.0"/,
    },
    { flags: ['--min-age', '7'], says: /bad value for --min-age: "7": expected an age such as 7d/ },
    { flags: ['--min-age-exact', 'no'], says: /bad value for --min-age-exact: "no": expected on or off/ },
    { flags: ['--policy', policy], says: /cannot read --policy "[^"]+": line 2: expected allow PATTERN/ },
    { flags: ['--policy', `${policy}.gone`], says: /cannot read --policy [^\n]*ENOENT/ },
  ];
  for (const { flags, says } of rows) {
    const db = join(tempDir(t), 'a.db');
    const { code, stderr } = await runAstera([
      'serve',
      '--db',
      db,
      '--addr',
      ':0',
      '--upstream',
      'off',
      ...flags,
    ]);
    assert.equal(code, 2, stderr);
    assert.match(stderr, new RegExp(`^astera: ${says.source}[^\\n]*\\n$`));
  }
});
