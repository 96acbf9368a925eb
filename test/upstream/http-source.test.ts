// Goal: what goes out is what Go would send and no more; secrets stay with their own host.
// Method: the requests as a real server on loopback saw them.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createDispatchers, sharedLookup } from '../../src/upstream/dispatchers.ts';
import { Exchange } from '../../src/upstream/exchange.ts';
import { HttpProxies } from '../../src/upstream/http-proxies.ts';
import { LocalAddress, withoutLocal } from '../../src/upstream/local-address.ts';
import { TIMEOUTS } from '../../src/upstream/settings.ts';
import { ask, assertSame, collect, failure, faulty, PATH, rig, someBytes } from './rig.ts';

const bytes = someBytes(1000);

test('requests say who they are, escape "!" and keep the query of their proxy', async (t) => {
  const server = await faulty(t);
  const path = 'github.com/!azure/x/@v/v1.0.0.mod';
  server.serve(`sub/${path}`, { bytes });
  const { upstream } = rig(t, `${server.url}/sub/?key=a%20b`);
  assertSame((await upstream.whole(ask(path, { via: '1.1 squid' }))).bytes, bytes);
  const [seen] = server.seen;
  assert.equal(seen?.url, '/sub/github.com/%21azure/x/@v/v1.0.0.mod?key=a%20b');
  assert.equal(seen?.headers.via, '1.1 squid, 1.1 astera-test');
  assert.equal(seen?.headers['user-agent'], 'astera/0.0.0');
  assert.equal(seen?.headers['accept-encoding'], 'identity');
  assert.equal(seen?.headers.authorization, undefined);
});

for (const base of ['//sub', '/sub//', '//sub///', '/a/../sub']) {
  test(`the path of a proxy's URL is cleaned: ${base}`, async (t) => {
    const server = await faulty(t);
    server.serve(`sub/${PATH}`, { bytes });
    assertSame((await rig(t, server.url + base).upstream.whole(ask())).bytes, bytes);
    assert.equal(server.seen[0]?.url, `/sub/${PATH}`);
  });
}

test('userinfo becomes a header for its own host, and is in no name, error or warning', async (t) => {
  const [server, other] = [await faulty(t), await faulty(t)];
  const own = `${server.url.replace('//', '//me:s3cr%40t@')}`;
  server.serve('own', { status: 302, headers: { location: '/moved' } });
  server.serve('moved', { bytes });
  server.serve('away', {
    status: 302,
    headers: { location: `${other.url.replace('//', '//me:s3cr%40t@')}/x` },
  });
  server.serve('bad', { status: 403 });
  server.serve('odd', { bytes: (n) => someBytes(100_000, n), cutAfter: 50_000 });
  other.serve('x', { bytes });
  const { upstream, seen } = rig(t, own);
  assert.equal((await upstream.whole(ask('own'))).upstream, `127.0.0.1:${server.port}`);
  assertSame((await upstream.whole(ask('away'))).bytes, bytes);
  const basic = `Basic ${Buffer.from('me:s3cr@t').toString('base64')}`;
  for (const { headers } of server.seen) assert.equal(headers.authorization, basic);
  assert.equal(other.seen[0]?.headers.authorization, undefined);
  const errors = [await failure(upstream.whole(ask('bad')), 'upstream-failed')];
  errors.push(await failure(collect(upstream.stream(ask('odd'))), 'upstream-failed'));
  assert.ok(seen.warnings.length > 0);
  const shown = [...errors.map(({ message }) => message), ...seen.warnings].join(' ');
  assert.doesNotMatch(shown, /me:|s3cr/);
});

test('a download over a redirect is resumed from its own proxy', async (t) => {
  const server = await faulty(t);
  server.serve(PATH, { status: 307, headers: { location: '/file?sig=1' } });
  server.serve('file', { bytes: someBytes(100_000), etag: '"a"', cutAfter: 40_000 });
  const { upstream } = rig(t, server.url);
  assertSame((await collect(upstream.stream(ask()))).bytes, someBytes(100_000));
  assert.equal(server.requestsFor(PATH).length, 3);
});

const redirects: { location: string; why: RegExp }[] = [
  { location: `/${PATH}`, why: /circle/ },
  { location: '/round/1', why: /over 10 redirects/ },
  { location: 'gopher://a.example/', why: /another scheme/ },
  { location: 'file:///etc/passwd', why: /another scheme: "file:\/\/\/etc\/passwd"/ },
];
for (const { location, why } of redirects) {
  test(`a redirect that leads nowhere: ${why}`, async (t) => {
    const server = await faulty(t);
    server.fallback = (path) => ({ status: 302, headers: { location: `${path}1` } });
    server.serve(PATH, { status: 302, headers: { location } });
    const { upstream } = rig(t, server.url);
    assert.match((await failure(upstream.whole(ask()), 'upstream-failed')).message, why);
    assert.ok(server.seen.length <= 11);
  });
}

const texts: { text: string; type?: string; message: RegExp; why: string }[] = [
  { text: 'not found: no such module\n', message: /^not found: no such module$/, why: 'one line' },
  { text: 'a\nb\u0000\tc', message: /^a b c$/, why: 'several lines' },
  { text: '', message: /^cannot fetch ".*" from .*: 404 Not Found$/, why: 'none' },
  { text: '<b>', type: 'text/html', message: /404 Not Found$/, why: 'a page' },
  { text: 'x'.repeat(10_000), message: /404 Not Found$/, why: 'too much' },
  { text: 'x'.repeat(3000), message: /^x{399}…$/, why: 'a long line' },
];
for (const { text, type = 'text/plain', message, why } of texts) {
  test(`the upstream's own words of a 404: ${why}`, async (t) => {
    const server = await faulty(t);
    server.serve(PATH, { status: 404, text, type });
    const { upstream } = rig(t, server.url);
    assert.match((await failure(upstream.whole(ask()), 'not-found')).message, message);
  });
}

test("an error's words that do not come are not waited for", async (t) => {
  const server = await faulty(t);
  server.serve(PATH, { status: 404, text: 'never said', stallAfter: 5 });
  const { upstream } = rig(t, server.url, { timeouts: { wordsMs: 20 } });
  assert.match((await failure(upstream.whole(ask()), 'not-found')).message, /404 Not Found$/);
});

test('a redirect is followed though its own body does not end', async (t) => {
  const server = await faulty(t);
  server.serve(PATH, { status: 302, text: 'moved', stallAfter: 2, headers: { location: '/file' } });
  server.serve('file', { bytes });
  const { upstream } = rig(t, server.url, { timeouts: { wordsMs: 20 } });
  assertSame((await upstream.whole(ask())).bytes, bytes);
});

test('HEAD: the size, without the file; by GET where HEAD is not known', async (t) => {
  const server = await faulty(t);
  server.serve('a', { bytes });
  server.serve('b', { bytes, isChunked: true });
  server.serve('c', { bytes, isGzipped: true });
  server.serve('d', { bytes, status: (n) => (n === 0 ? 405 : 200) });
  server.serve('e', { bytes, status: (n) => (n < 5 ? 503 : 200) });
  const { upstream } = rig(t, server.url);
  assert.equal((await upstream.head(ask('a'))).size, 1000);
  assert.equal((await upstream.head(ask('b'))).size, undefined);
  assert.equal((await upstream.head(ask('c'))).size, undefined);
  assert.equal((await upstream.head(ask('d'))).size, 1000);
  assert.equal((await upstream.head(ask('e'))).size, 1000);
  await failure(upstream.head(ask('f')), 'not-found');
  const gets = server.seen.filter(({ method }) => method === 'GET').map(({ url }) => url);
  assert.deepEqual(gets, ['/d']);
});

test('connections are used again, after errors and redirects too', async (t) => {
  const server = await faulty(t);
  server.serve('a', { bytes });
  server.serve('b', { status: 404, text: 'no' });
  server.serve('c', { status: 302, headers: { location: '/a' } });
  const { upstream } = rig(t, server.url);
  for (let i = 0; i < 3; i += 1) {
    await upstream.whole(ask('a'));
    await failure(upstream.whole(ask('b')), 'not-found');
    await upstream.whole(ask('c'));
  }
  assert.equal(server.connections, 1);
});

test('an HTTP proxy is used for http, and not for this machine', async (t) => {
  const [proxy, server] = [await faulty(t), await faulty(t)];
  proxy.fallback = () => ({ bytes });
  server.serve(PATH, { bytes: someBytes(5) });
  const proxyEnv = { httpProxy: `127.0.0.1:${proxy.port}`, noProxy: 'direct.example' };
  const { upstream } = rig(t, 'http://mods.example', { proxyEnv });
  assertSame((await upstream.whole(ask())).bytes, bytes);
  assert.equal(proxy.seen[0]?.url, `http://mods.example/${PATH}`);
  const { upstream: own } = rig(t, server.url, { proxyEnv });
  assertSame((await own.whole(ask())).bytes, someBytes(5));
  assert.equal(proxy.seen.length, 1);
});

test('what breaks on the way through an HTTP proxy is said to, and half a file is none there either', async (t) => {
  const proxy = await faulty(t);
  // In several pieces: one that comes together with its reset Node itself takes for ended.
  const large = someBytes(300_000);
  proxy.fallback = () => ({
    bytes: large,
    isUntilClose: true,
    cutAfter: (n) => (n === 0 ? 200_000 : undefined),
    cutBy: 'reset',
  });
  const proxyEnv = { httpProxy: `127.0.0.1:${proxy.port}`, httpsProxy: `127.0.0.1:${proxy.port}` };
  assertSame((await rig(t, 'http://mods.example', { proxyEnv }).upstream.whole(ask())).bytes, large);
  assert.equal(
    proxy.seen.length,
    3,
    'the half was asked for again, and the whole once more as nothing shows its end',
  );
  await proxy.close();
  for (const url of ['http://mods.example', 'https://mods.example']) {
    const { upstream } = rig(t, url, { proxyEnv });
    await assert.rejects(upstream.whole(ask()), /through the HTTP proxy: connection refused/);
  }
});

test('an upstream elsewhere sends nobody to this machine', async (t) => {
  const [proxy, server] = [await faulty(t), await faulty(t)];
  for (const host of ['127.0.0.1', 'localhost']) {
    proxy.fallback = () => ({ status: 302, headers: { location: `http://${host}:${server.port}/secret` } });
    const { upstream } = rig(t, 'http://mods.example', { proxyEnv: { httpProxy: proxy.url } });
    for (const method of ['whole', 'head'] as const) {
      const error = await failure(upstream[method](ask()), 'upstream-failed');
      assert.match(error.message, /redirect to this machine or its own link/);
    }
  }
  assert.equal(server.seen.length, 0);
});

const found: { addresses: string[]; isLocal: boolean }[] = [
  { addresses: ['127.0.0.1'], isLocal: true },
  { addresses: ['192.0.2.1', '::1'], isLocal: true },
  { addresses: ['fe80::1%eth0'], isLocal: true },
  { addresses: ['::ffff:169.254.169.254'], isLocal: true },
  { addresses: ['192.0.2.1', '2001:db8::1', '10.0.0.1'], isLocal: false },
];
for (const { addresses, isLocal } of found) {
  test(`a name that an upstream sends us to may not lead here: ${addresses}`, async () => {
    const all = addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));
    const lookup = withoutLocal((_hostname, _options, callback) => callback(null, all));
    const answer = new Promise((resolve, reject) => {
      lookup('a.example', { all: true }, (error, told) => (error === null ? resolve(told) : reject(error)));
    });
    if (isLocal) await assert.rejects(answer, LocalAddress);
    else assert.deepEqual(await answer, all);
  });
}

test('a guarded line does not connect to this machine, another one does', async (t) => {
  const server = await faulty(t);
  const dispatchers = createDispatchers(
    { connectMs: 5_000 },
    new HttpProxies({}),
    (_host, _options, callback) => callback(null, [{ address: '127.0.0.1', family: 4 }]),
  );
  t.after(() => dispatchers.destroy());
  const asked = async (isGuarded: boolean) => {
    const nothing = () => {};
    const exchange = new Exchange({
      observer: { connected: nothing, answered: nothing, heard: nothing, failed: nothing, ended: nothing },
      timeouts: TIMEOUTS,
      isSmall: true,
      signal: new AbortController().signal,
    });
    const origin = `http://files.example:${server.port}`;
    const agent = dispatchers.of(new URL(origin), { isGuarded });
    agent.dispatch({ origin, path: '/a', method: 'GET' }, exchange);
    const { status } = await exchange.head;
    await exchange.drain();
    return status;
  };
  await assert.rejects(asked(true), LocalAddress);
  assert.equal(server.seen.length, 0);
  assert.equal(await asked(false), 404);
});

test('one name is looked up once for all who wait for it', () => {
  const asked: string[] = [];
  const answers: (() => void)[] = [];
  const lookup = sharedLookup((hostname, _options, callback) => {
    asked.push(hostname);
    answers.push(() => callback(null, [{ address: '127.0.0.1', family: 4 }]));
  });
  let called = 0;
  for (const host of ['a.example', 'a.example', 'b.example']) {
    lookup(host, { all: true }, () => {
      called += 1;
    });
  }
  assert.deepEqual(asked, ['a.example', 'b.example']);
  for (const answer of answers) answer();
  assert.equal(called, 3);
  lookup('a.example', { all: true }, () => {});
  assert.equal(asked.length, 3, 'an answer is not kept');
});
