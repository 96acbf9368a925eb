// Goal: nothing of a private module reaches a client without the right, on whatever way it asks and wherever the
// file is; and a public module, or a client with the right, gets its answer as ever.
// Method: a table of settings, each crossed with paths, prefixes, methods, client addresses and places of the file.
// A real listener in front of the real module proxy over a real store; clients have addresses of loopback's network.

import assert from 'node:assert/strict';
import { type ClientRequest, request } from 'node:http';
import { createRequire } from 'node:module';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { pino as pinoType } from 'pino';
import { Access, type AccessOptions } from '../../src/access/access.ts';
import type { Account, Token } from '../../src/access/accounts.ts';
import { Grant } from '../../src/access/grant.ts';
import { Logins } from '../../src/access/logins.ts';
import type { Scope } from '../../src/access/scope.ts';
import { hashToken } from '../../src/access/secret.ts';
import { StoredFile } from '../../src/core/answer.ts';
import { parseNetworks } from '../../src/core/network.ts';
import { ChecksumsEndpoint } from '../../src/front/checksums-endpoint.ts';
import { ModulesEndpoint } from '../../src/front/modules-endpoint.ts';
import { OperationsEndpoint } from '../../src/front/operations-endpoint.ts';
import { OwnHosts } from '../../src/front/own-hosts.ts';
import { Server } from '../../src/front/server.ts';
import { Events } from '../../src/observe/events.ts';
import { Metrics } from '../../src/observe/metrics.ts';
import { FakeClock, makeRig, openLocalStore, type Rig, Script, start } from '../support/fakes.ts';
import { tempDir } from '../support/temp-dir.ts';

const { pino }: { readonly pino: typeof pinoType } = createRequire(import.meta.url)('pino');

const M = 'corp.example/secret';
const V = `${M}/@v/v1.0.0`;
/** In every answer that tells of the module. */
const TELLTALE = 'tell-tale';
const INFO = `{"Version":"v1.0.0","Time":"2024-02-03T04:05:06Z","Origin":{"Ref":"${TELLTALE}"}}`;

const says: Record<string, string> = {
  [`${V}.info`]: INFO,
  [`${V}.mod`]: `module ${M} // ${TELLTALE}\n`,
  [`${V}.zip`]: `zip of ${TELLTALE}`,
  [`${M}/@v/list`]: 'v1.0.0\nv1.0.1-tell-tale\n',
  [`${M}/@latest`]: INFO,
  [`${M}/@v/main.info`]: INFO,
};
const LOOKUP = `sumdb/sum.example/lookup/${M}@v1.0.0`;
const paths = [...Object.keys(says), `${M}/sub/@v/list`, LOOKUP];

const OWN = '127.0.0.1';
const OTHER = '127.0.0.2';
const UNIX = 'a Unix socket';

type Setting = {
  /** `--private`. */
  readonly secret: string;
  /** GONOPROXY: what no upstream hears of. */
  readonly noProxy: string;
  readonly allow: string;
  /** Who gets an answer. */
  readonly may: Readonly<Record<typeof OWN | typeof OTHER | typeof UNIX, boolean>>;
  readonly cacheControl: RegExp;
  readonly why: string;
};

const everybody = { [OWN]: true, [OTHER]: true, [UNIX]: true };
const settings: readonly Setting[] = [
  { secret: '', noProxy: '', allow: 'none', may: everybody, cacheControl: /^public, /, why: 'all is public' },
  {
    secret: 'corp.example',
    noProxy: '',
    allow: OWN,
    may: { ...everybody, [OTHER]: false },
    cacheControl: /^private, no-store$/,
    why: 'GOPRIVATE with GONOPROXY=none',
  },
  {
    secret: '',
    noProxy: 'corp.example',
    allow: OWN,
    may: { ...everybody, [OTHER]: false },
    cacheControl: /^private, no-store$/,
    why: 'GONOPROXY alone',
  },
  {
    secret: 'corp.example',
    noProxy: 'corp.example',
    allow: OTHER,
    may: { [OWN]: false, [OTHER]: true, [UNIX]: false },
    cacheControl: /^private, no-store$/,
    why: 'another network than this machine',
  },
  {
    secret: 'corp.example',
    noProxy: '',
    allow: 'none',
    may: { [OWN]: false, [OTHER]: false, [UNIX]: false },
    cacheControl: /^private, no-store$/,
    why: 'nobody',
  },
];

/** Ways to ask that must make no difference. */
const manners: { why: string; method?: string; prefix?: string; headers?: Record<string, string> }[] = [
  { why: 'GET' },
  { why: 'HEAD', method: 'HEAD' },
  { why: 'GET below /mod/', prefix: 'mod/' },
  { why: 'GET below /cached-only/', prefix: 'cached-only/' },
  { why: 'HEAD below /cached-only/mod/', method: 'HEAD', prefix: 'cached-only/mod/' },
  { why: 'GET of what is stored', headers: { 'disable-module-fetch': '1' } },
  { why: 'a range', headers: { range: 'bytes=0-3' } },
  { why: 'any version but', headers: { 'if-none-match': '*' } },
];

type Place = 'nowhere' | 'memory' | 'store';

type Served = { rig: Rig; log: string[]; ports: { tcp: number; unix: string }; metrics: Metrics };

async function serve(
  t: TestContext,
  setting: Setting,
  place: Place,
  rules: Pick<AccessOptions, 'logins' | 'loginPatterns'> = {},
): Promise<Served> {
  const directory = tempDir(t);
  const store = openLocalStore(join(directory, 'a.db'));
  t.after(() => store.close());
  const log: string[] = [];
  const metrics = new Metrics();
  const events = new Events(
    pino({ level: 'info' }, { write: (line: string) => void log.push(line) }),
    metrics,
  );
  const access = new Access({
    privatePatterns: [setting.secret, setting.noProxy],
    privateNetworks: parseNetworks(setting.allow),
    ...rules,
  });
  const { visibilityOf } = access;
  // What is stored was fetched while nothing was private, as if the settings came later.
  const before = makeRig(store, {});
  for (const [path, text] of Object.entries(says)) before.upstream.says.set(path, text);
  if (place !== 'nowhere') for (const path of Object.keys(says)) await before.ask(path);
  const rig = before.restarted({ noProxyPatterns: setting.noProxy, visibilityOf, events });
  if (place === 'memory') {
    for (const path of Object.keys(says)) await rig.ask(path, { mayFetch: false }).catch(() => {});
  }
  before.upstream.asked.length = 0;
  const server = new Server({
    endpoints: [
      new OperationsEndpoint({
        metricsText: () => metrics.text(),
        notReady: async () => undefined,
        access,
        profiles: { take: async () => Buffer.from(TELLTALE) },
      }),
      new ChecksumsEndpoint({ sumdb: sumdbOf(visibilityOf, place), instance: 'me' }),
      new ModulesEndpoint({ modules: rig.proxy, instance: 'me' }),
    ],
    access,
    hosts: new OwnHosts([]),
    bodies: rig.proxy,
    events,
    clientStallMs: 60_000,
    connectionsMax: Infinity,
  });
  t.after(() => server.stop(0));
  const unix = join(directory, 'a.sock');
  // Every address of this machine, by one dual-stack socket: clients of IPv4 come with mapped addresses.
  const tcp = await server.listen({ kind: 'tcp', host: '', port: 0 });
  assert.equal(await server.listen({ kind: 'unix', path: unix }), 0);
  assert.ok(tcp !== undefined);
  return { rig, log, ports: { tcp, unix }, metrics };
}

/** A checksum database that has the module's record, in memory or not. */
function sumdbOf(visibilityOf: Access['visibilityOf'], place: Place) {
  const body = Buffer.from(`1\n${TELLTALE}\n`);
  const fileOf = (visibility: StoredFile['visibility']) =>
    new StoredFile({
      kind: 'lookup',
      status: 200,
      size: body.byteLength,
      body,
      blob: undefined,
      sha256: '',
      freshUntilMs: Infinity,
      visibility,
    });
  return {
    peek: (key: string) =>
      place === 'memory' && key === LOOKUP ? fileOf(visibilityOf(M as never)) : undefined,
    get: async () =>
      ({ kind: 'lookup', status: 200, origin: 'store', size: 1, sha256: undefined, body }) as const,
  };
}

type Got = { code: number; head: string; cacheControl: string; body: string };

function ask(
  { tcp, unix }: Served['ports'],
  from: string,
  path: string,
  how: (typeof manners)[number] = { why: '' },
): Promise<Got> {
  const { method = 'GET', prefix = '', headers = {} } = how;
  const to =
    from === UNIX
      ? { socketPath: unix }
      : { host: from === '::1' ? from : OWN, port: tcp, localAddress: from };
  return new Promise((resolve, reject) => {
    const asked = request({ ...to, path: `/${prefix}${path}`, method, headers, agent: false }, (res) => {
      const parts: Buffer[] = [];
      res.on('data', (part: Buffer) => parts.push(part));
      res.on('error', reject);
      res.on('end', () =>
        resolve({
          code: res.statusCode ?? 0,
          head: JSON.stringify(res.headers),
          cacheControl: res.headers['cache-control'] ?? '',
          body: Buffer.concat(parts).toString(),
        }),
      );
    });
    asked.on('error', reject);
    asked.end();
  });
}

for (const setting of settings) {
  for (const place of ['nowhere', 'memory', 'store'] as const) {
    test(`${setting.why}, allowed ${setting.allow}: the files are in ${place}`, async (t) => {
      const { ports, rig, log, metrics } = await serve(t, setting, place);
      // Those without the right come first: nobody has brought anything into memory for them.
      const askers = Object.entries(setting.may).sort(([, a], [, b]) => Number(a) - Number(b));
      for (const [from, may] of askers) {
        const readsBefore = rig.store.calls.length;
        for (const path of paths) {
          for (const how of manners) {
            const got = await ask(ports, from, path, how);
            const what = `${how.why} of ${path} from ${from}: ${got.code} ${got.head} ${got.body}`;
            if (!may) {
              assert.equal(got.code, 403, what);
              assert.equal(got.cacheControl, 'no-store', what);
              assert.doesNotMatch(got.head + got.body, /tell-tale|etag|cache-status|content-range/i, what);
              if (how.method !== 'HEAD') assert.match(got.body, /private here.*--private-allow/, what);
            } else if ([200, 206, 304, 404].includes(got.code) && got.cacheControl !== 'no-store') {
              assert.match(got.cacheControl, setting.cacheControl, what);
            } else {
              // What Astera itself has to say: no source, or nothing stored.
              assert.match(String(got.code), /^(?:403|404)$/, what);
              assert.doesNotMatch(got.body, /--private-allow/, what);
            }
          }
        }
        if (!may) {
          assert.deepEqual(rig.upstream.asked, [], 'no upstream heard of it');
          assert.equal(rig.store.calls.length, readsBefore, 'the store was not asked');
          assert.deepEqual(log, [], 'nor is a word of it in the log');
        }
      }
      assert.doesNotMatch(await metrics.text(), /corp\.example/);
    });
  }
}

test('the table is no empty one: with the right there are files, hashes, ranges and 304s', async (t) => {
  const [, secret] = settings;
  assert.ok(secret !== undefined);
  const { ports } = await serve(t, secret, 'memory');
  const codes = new Set<string>();
  for (const how of manners) {
    const { code, body } = await ask(ports, OWN, `${V}.zip`, how);
    codes.add(`${code} ${body}`);
  }
  assert.deepEqual(codes, new Set([`200 zip of ${TELLTALE}`, '200 ', '206 zip ', '304 ']));
});

test('a client without the right does not join the download of one that has it', {
  timeout: 20_000,
}, async (t) => {
  const [, secret] = settings;
  assert.ok(secret !== undefined);
  const { ports, rig } = await serve(t, secret, 'nowhere');
  const script = new Script();
  rig.upstream.scripts.set(`${V}.zip`, script);
  const given = ask(ports, OWN, `${V}.zip`);
  await script.send(start({ size: 10 }));
  await script.bytes(Buffer.from('tell-'));
  const refused = ask(ports, OTHER, `${V}.zip`);
  await script.bytes(Buffer.from('tale!'));
  script.end();
  assert.equal((await refused).code, 403);
  assert.equal((await given).body, 'tell-tale!');
  assert.equal(rig.upstream.asked.length, 1);
});

test('an IPv6 client is one of its own network', async (t) => {
  const hasIpv6 = Object.values(networkInterfaces()).some((all) =>
    all?.some(({ address }) => address === '::1'),
  );
  if (!hasIpv6) return t.skip('this machine has no ::1');
  const base = { secret: 'corp.example', noProxy: '', may: everybody, cacheControl: /./, why: '' };
  const refusing = await serve(t, { ...base, allow: OWN }, 'memory');
  assert.equal((await ask(refusing.ports, '::1', `${V}.mod`)).code, 403);
  const open = await serve(t, { ...base, allow: '::1' }, 'memory');
  assert.equal((await ask(open.ports, '::1', `${V}.mod`)).code, 200);
  assert.equal((await ask(open.ports, OWN, `${V}.mod`)).code, 403);
});

test('a pattern that is taken away makes its modules public at once', async (t) => {
  const open = { secret: '', noProxy: '', allow: 'none', may: everybody, cacheControl: /./, why: '' };
  const { ports } = await serve(t, open, 'store');
  for (const round of ['from the store', 'from memory']) {
    const { code, cacheControl } = await ask(ports, OTHER, `${V}.mod`);
    assert.equal(code, 200, round);
    assert.match(cacheControl, /^public, /, round);
  }
});

test('a forged X-Forwarded-For, Forwarded or X-Real-IP gives no right', async (t) => {
  const [, secret] = settings;
  assert.ok(secret !== undefined);
  const { ports } = await serve(t, secret, 'memory');
  for (const [name, value] of [
    ['x-forwarded-for', OWN],
    ['forwarded', `for=${OWN}`],
    ['x-real-ip', OWN],
  ] as const) {
    const got = await ask(ports, OTHER, `${V}.mod`, { why: name, headers: { [name]: value } });
    assert.equal(got.code, 403, name);
  }
});

test('a login is looked at only where it decides, and nothing is looked up before it is right', async (t) => {
  const [, secret] = settings;
  assert.ok(secret !== undefined);
  const asked = Promise.withResolvers<void>();
  const checked = Promise.withResolvers<Grant>();
  let logins = 0;
  const grant = () => {
    logins += 1;
    asked.resolve();
    return checked.promise;
  };
  const { ports, rig } = await serve(t, secret, 'nowhere', {
    logins: { grantOf: grant, recall: () => undefined },
  });
  const login = { why: '', headers: { authorization: 'Basic YTpi' } };
  rig.upstream.says.set('open.example/a/@v/list', 'v1.0.0\n');
  assert.equal((await ask(ports, OWN, `${V}.mod`, login)).code, 200, 'a trusted network');
  assert.equal((await ask(ports, OTHER, 'open.example/a/@v/list', login)).code, 200, 'a public module');
  assert.equal((await ask(ports, OTHER, `${V}.info`)).code, 401, 'no login');
  assert.equal(logins, 0);

  rig.upstream.asked.length = 0;
  const to = { host: OWN, port: ports.tcp, localAddress: OTHER, agent: false, headers: login.headers };
  const gone: ClientRequest = request({ ...to, path: `/${V}.info` }).on('error', () => {});
  gone.end();
  await asked.promise;
  gone.destroy();
  const stays = ask(ports, OTHER, `${V}.zip`, login);
  // The server has seen the other go before it takes a later connection's request.
  while (logins < 2) await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(rig.upstream.asked, []);
  checked.resolve(new Grant(['private']));
  const got = await stays;
  assert.deepEqual([got.code, got.cacheControl], [200, 'private, no-store']);
  assert.deepEqual(rig.upstream.paths, [`${V}.zip`], 'nothing is fetched for a client that has gone');
});

/** A token's rights, and the answer to a client that sends it. */
type Bearer = {
  readonly name: string;
  readonly scopes: readonly Scope[];
  readonly isExpired?: true;
  /** The status of a stored file of a private module, of a public one that needs a login, and of metrics. */
  readonly gets: Readonly<Record<'secret' | 'shared' | 'metrics', 200 | 401 | 403>>;
};

const bearers: readonly Bearer[] = [
  {
    name: 'shared',
    scopes: ['read:shared.example', 'admin'],
    gets: { secret: 403, shared: 200, metrics: 200 },
  },
  { name: 'read', scopes: ['read'], gets: { secret: 403, shared: 200, metrics: 403 } },
  { name: 'private', scopes: ['private'], gets: { secret: 200, shared: 200, metrics: 403 } },
  { name: 'admin', scopes: ['admin'], gets: { secret: 403, shared: 403, metrics: 200 } },
  { name: 'cache-write', scopes: ['cache-write'], gets: { secret: 403, shared: 403, metrics: 403 } },
  {
    name: 'all',
    scopes: ['read', 'private', 'cache-write', 'admin'],
    gets: { secret: 200, shared: 200, metrics: 200 },
  },
  {
    name: 'its-team',
    scopes: ['private:a.example', 'private:corp.example/s*'],
    gets: { secret: 200, shared: 403, metrics: 403 },
  },
  {
    name: 'other-team',
    scopes: ['private:corp.example/t*', 'read:corp.example'],
    gets: { secret: 403, shared: 403, metrics: 403 },
  },
  {
    name: 'deeper',
    scopes: [`private:${M}/other`],
    gets: { secret: 403, shared: 403, metrics: 403 },
  },
  {
    name: 'expired',
    scopes: ['private', 'admin'],
    isExpired: true,
    gets: { secret: 401, shared: 401, metrics: 401 },
  },
  { name: 'unknown', scopes: [], gets: { secret: 401, shared: 401, metrics: 401 } },
];

const SHARED = 'shared.example/lib/@v/v1.0.0.mod';

for (const place of ['nowhere', 'memory', 'store'] as const) {
  test(`a login opens what its scopes name, and shows nothing else: the files are in ${place}`, async (t) => {
    const clock = new FakeClock();
    const accounts: Account[] = bearers.flatMap(({ name, scopes, isExpired }): Token[] => {
      const expiresMs = isExpired ? clock.wallMs() : Infinity;
      return name === 'unknown'
        ? []
        : [{ kind: 'token', name, scopes, sha256: hashToken(`astera_${name}`), expiresMs }];
    });
    const failures: string[] = [];
    const onFailure = (address: string) => void failures.push(address);
    const logins = new Logins({ accounts, clock, onFailure });
    const setting = {
      secret: 'corp.example',
      noProxy: '',
      allow: OTHER,
      may: everybody,
      cacheControl: /./,
      why: '',
    };
    const { ports, rig, log, metrics } = await serve(t, setting, place, { logins, loginPatterns: '*' });
    rig.upstream.says.set(SHARED, `module shared.example/lib // ${TELLTALE}\n`);
    const stored = place === 'nowhere' ? [] : paths.filter((path) => path !== LOOKUP && path in says);
    const all: [Bearer | undefined, Bearer['gets']][] = [
      [undefined, { secret: 401, shared: 401, metrics: 401 }],
      ...bearers.map((one): [Bearer, Bearer['gets']] => [one, one.gets]),
    ];
    // Those without the right come first: nobody has brought anything into memory for them.
    for (const [bearer, gets] of all.sort(([, a], [, b]) => b.secret - a.secret || b.shared - a.shared)) {
      const before = rig.store.calls.length;
      const name = bearer?.name ?? 'no token';
      for (const path of [...paths, `${M}/@v/v9.9.9.zip`, 'metrics', 'debug/pprof/heap']) {
        const need = path.startsWith('metrics') || path.startsWith('debug') ? 'metrics' : 'secret';
        for (const how of need === 'metrics' ? manners.slice(0, 2) : manners) {
          for (const way of bearer === undefined ? ['none'] : ['header', 'path']) {
            clock.pass(120_000); // So that no guess is refused for the ones before it.
            const token = encodeURIComponent(`astera_${name}`);
            const asked =
              way === 'header'
                ? {
                    ...how,
                    headers: { ...how.headers, authorization: `Basic ${btoa(`any:astera_${name}`)}` },
                  }
                : { ...how, prefix: `${way === 'path' ? `token/${token}/` : ''}${how.prefix ?? ''}` };
            const got = await ask(ports, OWN, path, asked);
            const what = `${name}, ${how.why} of ${path} by ${way}: ${got.code} ${got.head} ${got.body}`;
            if (gets[need] === 200) {
              if (stored.includes(path)) assert.match(String(got.code), /^(?:200|206|304)$/, what);
              else assert.match(String(got.code), /^(?:200|206|304|404|403)$/, what);
              assert.doesNotMatch(got.head, /public/, what);
            } else {
              assert.equal(got.code, gets[need], what);
              assert.equal(/"www-authenticate":"Basic /.test(got.head), got.code === 401, what);
              assert.match(got.head, /"cache-control":"no-store"/, what);
              assert.doesNotMatch(got.head + got.body, /tell-tale|etag|cache-status|content-range/i, what);
            }
          }
        }
      }
      if (gets.secret !== 200) {
        assert.deepEqual(rig.upstream.asked, [], `${name}: no upstream heard of it`);
        assert.equal(rig.store.calls.length, before, `${name}: the store was not asked`);
        assert.doesNotMatch(log.join(''), /corp\.example/);
      }
      const shared = bearer === undefined ? {} : { authorization: `Bearer astera_${name}` };
      clock.pass(120_000);
      assert.equal((await ask(ports, OWN, SHARED, { why: '', headers: shared })).code, gets.shared, name);
      assert.equal((await ask(ports, OTHER, SHARED)).code, 200, 'a trusted network');
      rig.upstream.asked.length = 0;
    }
    assert.equal((await ask(ports, OTHER, 'metrics')).code, 200, 'a trusted network');
    assert.equal((await ask(ports, OWN, 'healthz')).code, 200, 'health is for everybody');
    assert.equal((await ask(ports, OWN, 'readyz')).code, 200);
    assert.ok(failures.length > 0);
    assert.doesNotMatch(log.join(''), /tell-tale|astera_/);
    assert.doesNotMatch(await metrics.text(), /corp\.example/);
  });
}

test('a file in memory is for those with the right alone, also when rights are taken away', async (t) => {
  const token = (name: string, scopes: readonly Scope[]): Token => {
    return { kind: 'token', name, scopes, sha256: hashToken(name), expiresMs: Infinity };
  };
  const [all, tied] = [token('astera_all', ['private']), token('astera_tied', [`private:${M}`])];
  const clock = new FakeClock();
  const logins = new Logins({ accounts: [all, tied], clock, onFailure: () => {} });
  const setting = {
    secret: 'corp.example',
    noProxy: '',
    allow: 'none',
    may: everybody,
    cacheControl: /./,
    why: '',
  };
  const { ports, rig } = await serve(t, setting, 'memory', { logins });
  const get = async (name: string, path = `${V}.mod`) => {
    clock.pass(120_000);
    const { code, cacheControl } = await ask(ports, OWN, path, {
      why: '',
      headers: { authorization: `Bearer ${name}` },
    });
    return `${code} ${cacheControl}`;
  };
  const before = rig.store.calls.length;
  for (const { name } of [all, tied, all, tied]) assert.equal(await get(name), '200 private, no-store', name);
  assert.equal(await get(all.name, `token/${tied.name}/${V}.mod`), '200 private, no-store');
  assert.equal(await get('astera_none'), '401 no-store');
  assert.equal(await get(all.name, `token/astera_none/${V}.mod`), '401 no-store', 'the path counts');
  assert.equal((await ask(ports, OWN, `${V}.mod`)).code, 401);
  logins.replace([token('astera_all', ['read']), token('astera_tied', ['private:corp.example/other'])]);
  assert.equal(await get(all.name), '403 no-store');
  assert.equal(await get(tied.name), '403 no-store');
  assert.equal(rig.store.calls.length, before);
});
