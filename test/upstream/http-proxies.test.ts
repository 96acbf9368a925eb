// Goal: HTTP_PROXY, HTTPS_PROXY and NO_PROXY mean what they mean to the go command.
// Method: the facts of proxy_test.go of golang.org/x/net/http/httpproxy, and more of the same kinds.

import assert from 'node:assert/strict';
import { type AddressInfo, connect, createServer } from 'node:net';
import { type TestContext, test } from 'node:test';
import { BadRequest } from '../../src/core/errors.ts';
import { HttpProxies } from '../../src/upstream/http-proxies.ts';
import { createUpstream } from '../../src/upstream/proxy-list.ts';
import type { ProxyEnv } from '../../src/upstream/settings.ts';
import { ask, assertSame, faulty, HandClock, PATH, rig, someBytes } from './rig.ts';

const chosen: { env: ProxyEnv; url?: string; proxy: string | undefined }[] = [
  { env: { httpProxy: '127.0.0.1:8080' }, proxy: 'http://127.0.0.1:8080' },
  { env: { httpProxy: 'cache.corp.example.com:1234' }, proxy: 'http://cache.corp.example.com:1234' },
  { env: { httpProxy: 'cache.corp.example.com' }, proxy: 'http://cache.corp.example.com' },
  { env: { httpProxy: 'localhost' }, proxy: 'http://localhost' },
  { env: { httpProxy: 'https://cache.corp.example.com' }, proxy: 'https://cache.corp.example.com' },
  { env: { httpProxy: 'http://127.0.0.1:8080' }, proxy: 'http://127.0.0.1:8080' },
  { env: { httpProxy: 'socks5://127.0.0.1' }, proxy: 'socks5://127.0.0.1' },
  {
    env: { httpProxy: 'http.proxy.tld', httpsProxy: 'secure.proxy.tld' },
    url: 'http://insecure.tld/',
    proxy: 'http://http.proxy.tld',
  },
  {
    env: { httpProxy: 'http.proxy.tld', httpsProxy: 'secure.proxy.tld' },
    url: 'https://secure.tld/',
    proxy: 'http://secure.proxy.tld',
  },
  { env: { httpsProxy: 'https://secure.tld' }, url: 'https://secure.tld/', proxy: 'https://secure.tld' },
  { env: { httpProxy: 'http.proxy.tld' }, url: 'https://secure.tld/', proxy: undefined },
  { env: { httpsProxy: 'secure.proxy.tld' }, url: 'http://insecure.tld/', proxy: undefined },
  { env: {}, proxy: undefined },
  { env: { httpProxy: '', httpsProxy: '', noProxy: '' }, proxy: undefined },
  { env: { httpProxy: 'proxy', noProxy: 'example.com' }, proxy: undefined },
];
for (const { env, url = 'http://example.com', proxy } of chosen) {
  test(`HTTP proxy: ${JSON.stringify(env)}: ${url}`, () => {
    assert.equal(new HttpProxies(env).of(new URL(url)), proxy);
  });
}

const LIST =
  'foobar.com, .barbaz.net, *.wildcard.io, 192.168.1.1, 192.168.1.2:81, 192.168.1.3:80, 10.0.0.0/30, ' +
  '2001:db8::52:0:1, [2001:db8::52:0:2]:443, [2001:db8::52:0:3]:80, 2002:db8:a::45/64';

/** Those that are proxied, and those that are not, under a NO_PROXY. The port is 80 where none is said. */
const exceptions: { noProxy: string; proxied?: string[]; direct?: string[]; why: string }[] = [
  {
    noProxy: LIST,
    direct: ['localhost', '127.0.0.1', '127.0.0.2', '[::1]', '[::ffff:127.0.0.1]'],
    why: 'this machine, whatever it says',
  },
  {
    noProxy: LIST,
    direct: [
      '192.168.1.1',
      '192.168.1.3',
      '[2001:db8::52:0:1]',
      '[2001:db8::52:0:3]',
      '[::ffff:192.168.1.1]',
    ],
    proxied: ['192.168.1.2', '192.168.1.4', '[::2]', '[2001:db8::52:0:2]'],
    why: 'addresses, with the port they say',
  },
  { noProxy: LIST, direct: ['192.168.1.2:81', '192.168.1.1:81'], proxied: ['192.168.1.3:81'], why: 'ports' },
  {
    noProxy: LIST,
    direct: ['10.0.0.2', '[2002:db8:a::123]'],
    proxied: ['10.0.0.4', '[2002:db8:b::123]', '[fe80::424b:c8be:1643:a1b6]'],
    why: 'networks, and bits behind the prefix do not matter',
  },
  {
    noProxy: LIST,
    direct: ['www.barbaz.net', 'foobar.com', 'www.foobar.com', 'nested.wildcard.io', 'FOOBAR.com'],
    proxied: ['barbaz.net', 'foofoobar.com', 'baz.com', 'barbarbaz.net', 'wildcard.io', 'awildcard.io'],
    why: 'domains',
  },
  { noProxy: LIST, proxied: ['localhost.net', 'local.localhost'], why: 'names with localhost in them' },
  { noProxy: '.example.com', proxied: ['example.com'], direct: ['foo.example.com'], why: 'a leading dot' },
  { noProxy: 'example.com', direct: ['example.com', 'foo.example.com'], why: 'a name and all below it' },
  { noProxy: 'ample.com', proxied: ['example.com'], why: 'a part of a label' },
  { noProxy: '.foo.com', proxied: ['example.com'], why: 'another domain' },
  { noProxy: 'example.com:81', proxied: ['example.com'], direct: ['a.example.com:81'], why: "a name's port" },
  { noProxy: 'example.com:', direct: ['example.com', 'example.com:81'], why: 'an empty port is any' },
  { noProxy: '.示例.com', direct: ['www.示例.com'], proxied: ['示例.com'], why: 'other letters below a dot' },
  { noProxy: 'xn--fsq092h.com', direct: ['www.示例.com'], why: 'other letters asked for' },
  { noProxy: '示例.com', direct: ['www.xn--fsq092h.com'], why: 'other letters in NO_PROXY' },
  { noProxy: ':1', proxied: ['example.com'], why: 'a port without a host' },
  { noProxy: ' , ,', proxied: ['example.com'], why: 'nothing but blanks and commas' },
  { noProxy: 'a.example b.example', proxied: ['a.example', 'b.example'], why: 'blanks separate nothing' },
  { noProxy: 'a.example,\tB.Example ', direct: ['a.example', 'b.example'], why: 'blanks around, and case' },
  { noProxy: 'x.example,*', direct: ['example.com', '10.1.2.3', '[2001:db8::1]'], why: 'all' },
  { noProxy: '*:80', proxied: ['example.com'], why: 'an asterisk is all only alone' },
  {
    noProxy: '[2001:db8::1]',
    proxied: ['[2001:db8::1]'],
    why: 'brackets without a port mean nothing, as in Go',
  },
  { noProxy: '10.0.0.0/33,10.0.0.0/x,/8,010.0.0.0/8', proxied: ['10.0.0.1'], why: 'no networks' },
  {
    noProxy: '0.0.0.0/0',
    direct: ['10.0.0.1'],
    proxied: ['[2001:db8::1]', 'example.com'],
    why: 'all of IPv4',
  },
  { noProxy: '::/0', direct: ['[2001:db8::1]'], proxied: ['10.0.0.1', 'example.com'], why: 'all of IPv6' },
  { noProxy: '::ffff:10.0.0.0/104', direct: ['10.9.9.9'], proxied: ['11.0.0.1'], why: 'IPv4 as IPv6' },
  { noProxy: '0.1', proxied: ['10.0.0.1'], why: 'no name is the end of an address' },
];
for (const { noProxy, proxied = [], direct = [], why } of exceptions) {
  test(`NO_PROXY: ${why}: ${noProxy}`, () => {
    const proxies = new HttpProxies({ httpProxy: 'proxy', httpsProxy: 'proxy', noProxy });
    const asked = [...proxied, ...direct];
    const found = asked.filter((host) => proxies.of(new URL(`http://${host}`)) !== undefined);
    assert.deepEqual(found, proxied);
  });
}

test('NO_PROXY: the port of https is 443', () => {
  const proxies = new HttpProxies({ httpsProxy: 'proxy', noProxy: 'a.example:443,b.example:80' });
  assert.equal(proxies.of(new URL('https://a.example')), undefined);
  assert.equal(proxies.of(new URL('https://b.example')), 'http://proxy');
});

test('a malformed proxy is refused, where Go would go directly', () => {
  for (const httpProxy of ['foo://host', 'http://', 'http://a b']) {
    assert.throws(() => new HttpProxies({ httpProxy }), BadRequest);
  }
});

const cgi: { list: string; env: ProxyEnv; isRefused: boolean }[] = [
  { list: 'http://a.example', env: { httpProxy: '10.1.2.3:8080', isCgi: true }, isRefused: true },
  { list: 'https://a.example|http://b.example', env: { httpProxy: 'p', isCgi: true }, isRefused: true },
  { list: 'http://a.example', env: { httpProxy: '10.1.2.3:8080' }, isRefused: false },
  { list: 'http://a.example', env: { isCgi: true }, isRefused: false },
  { list: 'https://a.example', env: { httpProxy: 'p', httpsProxy: 'p', isCgi: true }, isRefused: false },
];
for (const { list, env, isRefused } of cgi) {
  test(`HTTP_PROXY in a CGI program: ${list}: ${JSON.stringify(env)}`, async () => {
    const made = () =>
      createUpstream({ list, instance: 'i', version: '0', clock: new HandClock(), proxyEnv: env });
    if (isRefused) assert.throws(made, /REQUEST_METHOD/);
    else await made().close();
  });
}

/** A SOCKS5 proxy (RFC 1928) that takes no name or password and leads every connection to `port` here. */
async function socks(t: TestContext, port: number): Promise<{ port: number; asked: string[] }> {
  const asked: string[] = [];
  const server = createServer((client) => {
    client.on('error', () => {});
    client.once('data', () => {
      client.write(Uint8Array.of(5, 0));
      client.once('data', (request) => {
        asked.push(request.toString('latin1', 5, 5 + (request[4] ?? 0)));
        client.write(Uint8Array.of(5, 0, 0, 1, 0, 0, 0, 0, 0, 0));
        const server = connect({ host: '127.0.0.1', port });
        server.on('error', () => client.destroy());
        client.pipe(server).pipe(client);
      });
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  return { port: (server.address() as AddressInfo).port, asked };
}

for (const scheme of ['socks5', 'socks5h']) {
  test(`files come through a ${scheme} proxy, which looks the name up`, async (t) => {
    const server = await faulty(t);
    server.serve(PATH, { bytes: someBytes(1000) });
    const proxy = await socks(t, server.port);
    const proxyEnv = { httpProxy: `${scheme}://127.0.0.1:${proxy.port}` };
    const { upstream } = rig(t, 'http://mods.example', { proxyEnv });
    assertSame((await upstream.whole(ask())).bytes, someBytes(1000));
    assert.deepEqual(proxy.asked, ['mods.example']);
  });
}
