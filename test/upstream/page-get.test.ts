// Goal: a page is asked for as the upstreams are: by HTTP proxy, over certificates that are trusted, within bounds.
// Method: HTTP servers and a proxy on loopback; names that only the proxy knows.

import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { type TestContext, test } from 'node:test';
import { BadRequest } from '../../src/core/errors.ts';
import { Pages } from '../../src/upstream/page-get.ts';
import type { ProxyEnv } from '../../src/upstream/settings.ts';

const BYTES_MAX = 1000;

test('a page comes with its status, its redirect and its body, and takes headers along', async (t) => {
  const heard: IncomingMessage[] = [];
  const url = await serve(t, (request, response) => {
    heard.push(request);
    response.writeHead(request.url === '/x?go-get=1' ? 404 : 302, { location: '/x' }).end('words');
  });
  const pages = open(t);
  const ask = async (path: string) => {
    const answer = await pages.get({ url: url + path, headers: { authorization: 'a' }, bytesMax: BYTES_MAX });
    return { ...answer, body: Buffer.from(answer.body).toString() };
  };
  assert.deepEqual(await ask('/x?go-get=1'), { status: 404, location: '/x', body: 'words' });
  assert.deepEqual(await ask('/y'), { status: 302, location: '/x', body: 'words' });
  assert.equal(heard[0]?.headers.authorization, 'a');
  assert.match(heard[0]?.headers['user-agent'] ?? '', /^astera\//);
});

test('HTTP_PROXY, HTTPS_PROXY and NO_PROXY count', async (t) => {
  const asked: string[] = [];
  const server = createServer(({ url = '' }, response) => {
    asked.push(url);
    response.end('by proxy');
  });
  const port = await listen(t, server);
  server.on('connect', ({ url = '' }, client) => {
    asked.push(url);
    const here = connect({ host: '127.0.0.1', port });
    for (const end of [client, here]) end.on('error', () => client.destroy());
    client.write('HTTP/1.1 200 OK\r\n\r\n');
    here.pipe(client).pipe(here);
  });
  const proxy = `http://127.0.0.1:${port}`;
  const pages = open(t, { httpProxy: proxy, httpsProxy: proxy, noProxy: 'direct.invalid' });
  const get = (url: string) => pages.get({ url, headers: {}, bytesMax: BYTES_MAX });
  assert.equal(Buffer.from((await get('http://git.corp.example/x')).body).toString(), 'by proxy');
  // There is no TLS here: it is enough that the tunnel is asked for.
  await assert.rejects(get('https://git.corp.example/x?go-get=1'));
  await assert.rejects(get('http://direct.invalid/x'), /no such host|lookup failed/);
  assert.deepEqual(asked, ['http://git.corp.example/x', 'git.corp.example:443']);
});

test('a page that is too long, that does not end, or that breaks is refused', async (t) => {
  const url = await serve(t, (request, response) => {
    if (request.url === '/long') response.end('x'.repeat(BYTES_MAX + 1));
    else response.writeHead(200, { 'content-length': '10' }).write('x');
    if (request.url === '/broken') setImmediate(() => response.destroy());
  });
  const pages = open(t);
  const get = (path: string) => pages.get({ url: url + path, headers: {}, bytesMax: BYTES_MAX });
  await assert.rejects(get('/long'), /more than 1000 bytes/);
  await assert.rejects(get('/broken'), /closed|reset|does not match content-length/);
  await assert.rejects(get('/hangs'), /timeout|aborted/);
});

test('a malformed proxy is told at the start; HTTP_PROXY of a CGI program is refused', async (t) => {
  assert.throws(() => open(t, { httpProxy: 'foo://host' }), BadRequest);
  const pages = open(t, { httpProxy: 'p', isCgi: true });
  await assert.rejects(pages.get({ url: 'http://a.example/', headers: {}, bytesMax: 1 }), /REQUEST_METHOD/);
});

function open(t: TestContext, proxyEnv: ProxyEnv = {}): Pages {
  const pages = new Pages({ version: '0', proxyEnv, timeoutMs: 3_000 });
  t.after(() => pages.close());
  return pages;
}

async function serve(t: TestContext, listener: RequestListener): Promise<string> {
  return `http://127.0.0.1:${await listen(t, createServer(listener))}`;
}

async function listen(t: TestContext, server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}
