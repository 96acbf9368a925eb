// Goal: `/` shows the server to those who may see it, in the form that they want, and names no module to others.
// Method: a real listener and a real store with a private, a public and a shared module; a table of settings, clients and
// logins says who gets what. Clients have addresses of loopback's network.

import assert from 'node:assert/strict';
import { request } from 'node:http';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Access, type AccessOptions } from '../../src/access/access.ts';
import { Logins } from '../../src/access/logins.ts';
import type { Scope } from '../../src/access/scope.ts';
import { hashToken } from '../../src/access/secret.ts';
import { NotFound } from '../../src/core/errors.ts';
import { parseModulePath } from '../../src/core/module-path.ts';
import { parseNetworks } from '../../src/core/network.ts';
import type { ModuleList, Status, VersionsPage } from '../../src/core/status.ts';
import { parseVersion } from '../../src/core/version.ts';
import { OwnHosts } from '../../src/front/own-hosts.ts';
import { Server } from '../../src/front/server.ts';
import { StatusEndpoint } from '../../src/front/status-endpoint.ts';
import { Metrics } from '../../src/observe/metrics.ts';
import { Minutes } from '../../src/observe/minutes.ts';
import { ConcernedVersions } from '../../src/status/concerned-versions.ts';
import { MODULES_PER_PAGE, SEARCH_LENGTH_MAX } from '../../src/status/limits.ts';
import { ModuleBrowser } from '../../src/status/module-browser.ts';
import { StatusBoard } from '../../src/status/status-board.ts';
import { StoreCount } from '../../src/status/store-count.ts';
import { FakeClock, openLocalStore, SeenEvents } from '../support/fakes.ts';
import { tempDir } from '../support/temp-dir.ts';

const SECRET = 'corp.example/secret';
const SHARED = 'shared.example/lib';
const OPEN = 'open.example/Lib';
const modules = [SECRET, SHARED, OPEN];

const PAGE = '<!doctype html><title>page</title>';

type Rules = { readonly allow: string; readonly hasLogins: boolean };

const clock = new FakeClock();
const scopes: Readonly<Record<string, readonly Scope[]>> = {
  admin: ['admin'],
  private: ['private'],
  'admin-read': ['admin', 'read'],
  'admin-team': ['admin', 'private:corp.example/other'],
  all: ['admin', 'private'],
};

async function serve(t: TestContext, { allow, hasLogins }: Rules): Promise<{ port: number }> {
  const store = openLocalStore(join(tempDir(t), 'a.db'));
  for (const module of modules) {
    const key = `${module.replace('L', '!l')}/@v/v1.2.3.mod`;
    const bytes = Buffer.from(`module ${module}\n`);
    await store.putEntry({ key, status: 200, source: 'upstream', nowMs: 1, blob: store.nextBlob(), bytes });
  }
  const metrics = new Metrics();
  const minutes = new Minutes({ totals: () => metrics.totals(), wallMs: () => clock.wallMs() });
  const count = new StoreCount({ reader: store, clock, full: () => undefined });
  const version = parseVersion('v1.2.3');
  assert.ok(version !== undefined);
  const board = new StatusBoard({
    facts: {
      version: '1.0.0',
      node: '22',
      startedAtMs: clock.wallMs(),
      address: ':8080',
      isSecure: false,
      isOffline: false,
      verify: 'store',
    },
    clock,
    counted: () => minutes.take(),
    open: () => server.open,
    downloads: () =>
      modules.map((module) => ({
        module: parseModulePath(module),
        version,
        receivedBytes: 5,
        sizeBytes: 10,
        startedAtMs: 1,
      })),
    upstreams: () => [{ name: 'proxy.example', isDown: false }],
    store: (writes) => count.figures(writes),
    git: () => undefined,
    bucket: () => undefined,
  });
  const accounts = Object.entries(scopes).map(([name, scopes]) => {
    return { kind: 'token', name, scopes, sha256: hashToken(`astera_${name}`), expiresMs: Infinity } as const;
  });
  const options: AccessOptions = {
    privatePatterns: ['corp.example'],
    privateNetworks: parseNetworks(allow),
    ...(hasLogins && {
      loginPatterns: 'shared.example',
      logins: new Logins({ accounts, clock, onFailure: () => {} }),
    }),
  };
  const access = new Access(options);
  const concerned = new ConcernedVersions({
    find: async () => ({
      modified: '2024-05-01T00:00:00Z',
      rows: modules.map((module) => ({
        ...{ module: parseModulePath(module), version, id: 'GO-2024-1', summary: '', fixed: undefined },
      })),
    }),
    clock,
  });
  const file = async (name: string) => {
    if (name === 'icon.svg') throw new NotFound('cannot show it: not built');
    return { type: 'text/html; charset=utf-8', body: Buffer.from(PAGE), sha256: 'ab'.repeat(32) };
  };
  const server = new Server({
    endpoints: [
      new StatusEndpoint({
        ...{ board, browser: new ModuleBrowser(store), concerned, file, access, isSecure: false },
      }),
    ],
    access,
    hosts: new OwnHosts(['*']),
    bodies: { bodyNow: () => undefined },
    events: new SeenEvents(),
    clientStallMs: 60_000,
    connectionsMax: Infinity,
  });
  const port = await server.listen({ kind: 'tcp', host: '', port: 0 });
  assert.ok(port !== undefined);
  t.after(async () => {
    await server.stop(0);
    store.close();
  });
  return { port };
}

type Got = { code: number; headers: Record<string, string | string[] | undefined>; body: string };
type How = { from?: string; headers?: Record<string, string>; method?: string };

function ask({ port }: { port: number }, path: string, how: How = {}): Promise<Got> {
  const { from = '127.0.0.1', headers = {}, method = 'GET' } = how;
  const to = { host: '127.0.0.1', port, localAddress: from, path, method, headers, agent: false };
  return new Promise((resolve, reject) => {
    request(to, (res) => {
      let body = '';
      res.setEncoding('utf8').on('data', (text: string) => {
        body += text;
      });
      res.on('end', () => resolve({ code: res.statusCode ?? 0, headers: res.headers, body }));
    })
      .on('error', reject)
      .end();
  });
}

const BROWSER = { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' };
const NEAR = '127.0.0.1';
const FAR = '127.0.0.2';

const figures = [
  '/',
  '/status/now.json',
  '/status/modules.json?q=',
  '/status/vulnerabilities.json',
  '/status/versions.json?module=open.example/Lib',
];

type Row = {
  readonly rules: Rules;
  readonly from: string;
  /** A token's name. */
  readonly login?: string;
  readonly code: 200 | 401 | 403;
  readonly names: readonly string[];
  readonly why: string;
};

const NO_LOGINS = { allow: NEAR, hasLogins: false };
const LOGINS = { allow: NEAR, hasLogins: true };

const rows: readonly Row[] = [
  { rules: NO_LOGINS, from: NEAR, code: 200, names: modules, why: 'a trusted network' },
  {
    rules: NO_LOGINS,
    from: FAR,
    code: 200,
    names: [SHARED, OPEN],
    why: 'everybody sees what everybody may read',
  },
  { rules: NO_LOGINS, from: FAR, login: 'all', code: 200, names: [SHARED, OPEN], why: 'nobody can log in' },
  { rules: LOGINS, from: NEAR, code: 200, names: modules, why: 'a trusted network needs no login' },
  {
    rules: LOGINS,
    from: NEAR,
    login: 'wrong',
    code: 200,
    names: modules,
    why: 'nor does a wrong one hinder',
  },
  { rules: LOGINS, from: FAR, code: 401, names: [], why: 'no login' },
  { rules: LOGINS, from: FAR, login: 'wrong', code: 401, names: [], why: 'a wrong one' },
  { rules: LOGINS, from: FAR, login: 'private', code: 403, names: [], why: 'modules are no figures' },
  { rules: LOGINS, from: FAR, login: 'admin', code: 200, names: [OPEN], why: 'figures are no modules' },
  {
    rules: LOGINS,
    from: FAR,
    login: 'admin-read',
    code: 200,
    names: [SHARED, OPEN],
    why: 'with those of read',
  },
  { rules: LOGINS, from: FAR, login: 'admin-team', code: 200, names: [OPEN], why: 'of another team' },
  { rules: LOGINS, from: FAR, login: 'all', code: 200, names: modules, why: 'all of both' },
];

for (const { rules, from, login, code, names, why } of rows) {
  const who = `${rules.hasLogins ? 'logins' : 'no logins'}, ${from === NEAR ? 'near' : 'far'}, ${login ?? 'no login'}`;
  test(`${who}: ${code}, ${names.length} modules: ${why}`, async (t) => {
    const served = await serve(t, rules);
    const headers: Record<string, string> =
      login === undefined ? {} : { authorization: `Bearer astera_${login}` };
    const how = { from, headers };
    for (const path of figures) {
      clock.pass(120_000); // So that no guess is refused for the ones before it.
      const got = await ask(served, path, how);
      assert.equal(got.code, code, `${path}: ${got.body}`);
      assert.equal(got.headers['cache-control'], 'no-store');
      const inText = modules.filter((module) => got.body.includes(module));
      if (code !== 200) assert.deepEqual(inText, path.includes(OPEN) ? inText : [], got.body);
      else if (!path.startsWith('/status/versions')) assert.deepEqual(inText, names, `${path}: ${got.body}`);
      assert.equal('www-authenticate' in got.headers, code === 401);
      const page = await ask(served, path, { ...how, headers: { ...headers, ...BROWSER } });
      assert.equal(page.code, code, `a browser: ${page.body}`);
    }
    clock.pass(120_000);
    const ofSecret = await ask(served, `/status/versions.json?module=${SECRET}`, how);
    assert.equal(ofSecret.code === 200, names.includes(SECRET), ofSecret.body);
    for (const path of ['/status/main.js', '/status/page.css']) {
      assert.equal((await ask(served, path, { from })).code, 200, 'its files are for everybody');
    }
  });
}

test('a browser gets the page, which it may keep; all others get text', async (t) => {
  const served = await serve(t, NO_LOGINS);
  for (const path of ['/', '/?x=1']) {
    const page = await ask(served, path, { headers: BROWSER });
    assert.equal(page.body, PAGE);
    assert.equal(page.headers['content-type'], 'text/html; charset=utf-8');
    assert.equal(page.headers.vary, 'Accept');
    assert.equal(page.headers['cache-control'], 'no-cache');
    assert.equal(page.headers['referrer-policy'], 'no-referrer');
    assert.match(String(page.headers['content-security-policy']), /^default-src 'none'; script-src 'self';/);
    const etag = String(page.headers.etag);
    const again = await ask(served, path, { headers: { ...BROWSER, 'if-none-match': etag } });
    assert.deepEqual([again.code, again.body, again.headers.etag], [304, '', etag]);
  }
  for (const headers of [{}, { accept: '*/*' }, { accept: 'application/json' }] as Record<string, string>[]) {
    const text = await ask(served, '/', { headers });
    assert.equal(text.headers['content-type'], 'text/plain; charset=utf-8');
    assert.equal(text.headers.vary, 'Accept');
    assert.match(text.body, /^Astera 1\.0\.0 at http:\/\/127\.0\.0\.1:\d+, up /);
    assert.match(text.body, /^ {2}go env -w GOPROXY=http:\/\/127\.0\.0\.1:\d+,direct$/m);
  }
  const head = await ask(served, '/', { headers: BROWSER, method: 'HEAD' });
  assert.deepEqual([head.code, head.body, head.headers['content-length']], [200, '', String(PAGE.length)]);
  assert.equal((await ask(served, '/', { method: 'POST' })).code, 405);
  assert.equal((await ask(served, '/status/icon.svg')).code, 404, 'a page that was not built');
  for (const path of ['/status', '/status/', '/status/x', '/status/../main.js', '/index.html']) {
    assert.equal((await ask(served, path)).code, 404, path);
  }
});

test('the text goes into shells: no host but a plain one is in its lines', async (t) => {
  const served = await serve(t, NO_LOGINS);
  const hosts = [
    { host: 'pi.lan:8080', is: 'http://pi.lan:8080' },
    { host: '[::1]:80', is: 'http://[::1]:80' },
    { host: 'a;rm -rf ~', is: 'http://that-machine:8080' },
    { host: '$(id)', is: 'http://that-machine:8080' },
    { host: '`id`:80', is: 'http://that-machine:8080' },
    { host: '<b>', is: 'http://that-machine:8080' },
    { host: `${'a'.repeat(256)}`, is: 'http://that-machine:8080' },
  ];
  for (const { host, is } of hosts) {
    const { body } = await ask(served, '/', { headers: { host } });
    assert.ok(body.includes(`GOPROXY=${is},direct\n`), `${host}: ${body}`);
    if (is.includes('that-machine')) assert.ok(!body.includes(host), host);
  }
});

test('a search from outside is plain text, and bounded', async (t) => {
  const served = await serve(t, NO_LOGINS);
  const refused = [
    `/status/modules.json?q=${'x'.repeat(SEARCH_LENGTH_MAX + 1)}`,
    '/status/modules.json?q=&after=<b>',
    '/status/versions.json',
    '/status/versions.json?module=a.example/%00',
    `/status/versions.json?module=${OPEN}&from=-1`,
    `/status/versions.json?module=${OPEN}&from=1e9`,
  ];
  for (const path of refused) assert.equal((await ask(served, path)).code, 400, path);
  assert.equal((await ask(served, '/status/versions.json?module=a.example/none')).code, 404);
  for (const text of ['%', "'", '"><img src=x>', '%E2%82%AC', '%00', '!Lib']) {
    const { code, body } = await ask(served, `/status/modules.json?q=${encodeURIComponent(text)}`);
    assert.equal(code, 200);
    assert.deepEqual(
      (JSON.parse(body) as ModuleList).modules.map(({ path }) => path),
      text === '!Lib' ? [OPEN, SHARED] : [],
    );
  }
});

test('no other page’s request gets figures', async (t) => {
  const served = await serve(t, NO_LOGINS);
  const foreign = { headers: { 'sec-fetch-site': 'cross-site' } };
  for (const path of figures.slice(1)) assert.equal((await ask(served, path, foreign)).code, 403, path);
  assert.equal((await ask(served, '/', foreign)).code, 200, 'a link leads here');
  const { headers } = await ask(served, '/status/now.json', { headers: { origin: 'https://a.example' } });
  assert.ok(!('access-control-allow-origin' in headers));
});

test('the figures are those of the server', async (t) => {
  const served = await serve(t, NO_LOGINS);
  const status = JSON.parse((await ask(served, '/status/now.json', { from: FAR })).body) as Status;
  assert.deepEqual(
    status.downloads.shown.map(({ module }) => module),
    [SHARED, OPEN],
  );
  assert.equal(status.downloads.more, 1);
  assert.deepEqual(status.open, { requests: 0, connections: 1 });
  assert.deepEqual(status.store?.kinds, [{ kind: 'mod', entries: 3, bytes: 77 }]);
  const page = JSON.parse((await ask(served, `/status/versions.json?module=${OPEN}`)).body) as VersionsPage;
  assert.deepEqual(page, { count: 1, versions: [{ version: 'v1.2.3', usedAtMs: 1 }] });
});

test('a page of modules is full although others are hidden, and the last one says so', async () => {
  const all = Array.from(
    { length: 400 },
    (_, i) => `${i % 2 === 0 ? 'corp' : 'open'}.example/${String(i).padStart(3, '0')}`,
  );
  const keys = all.toSorted();
  const browser = new ModuleBrowser({
    findModules: async ({ after, limit }) => ({
      modules: keys
        .filter((module) => module > after)
        .slice(0, limit)
        .map((module) => ({ module, versions: 1, bytes: 1 })),
    }),
    getModuleVersions: () => Promise.reject(new Error('not asked')),
  });
  const mayName = (module: string) => module.startsWith('open');
  const seen: string[] = [];
  let after: ReturnType<typeof parseModulePath> | undefined;
  do {
    const { modules, next } = await browser.modules({ text: '', after }, mayName);
    seen.push(...modules.map(({ path }) => path));
    assert.equal(modules.length, MODULES_PER_PAGE);
    assert.ok(next === undefined || next.startsWith('open'), 'no hidden module is a page’s end');
    after = next === undefined ? undefined : parseModulePath(next);
  } while (after !== undefined);
  assert.deepEqual(seen, keys.filter(mayName));
});
