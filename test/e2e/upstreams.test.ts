// Goal: modules come from the upstreams of their route, and the logins of a netrc file go where `go` sends them, to nobody else.
// Method: a real Astera and a real `go`; a company's proxy by https that wants a login and keeps its zips on another host; a
// public proxy. Both note what they are asked and with which login.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Astera, runAstera } from '../support/astera.ts';
import { makeCertificate } from '../support/certificate.ts';
import { freePort } from '../support/free-port.ts';
import { GoClient } from '../support/go.ts';
import { LocalUpstream } from '../support/local-upstream.ts';
import { type MadeUpModule, madeUpFiles } from '../support/module-zip.ts';
import { tempDir } from '../support/temp-dir.ts';

const INSIDE: MadeUpModule = { path: 'corp.example/tools', version: 'v1.0.0', contentBytes: 1000 };
const OUTSIDE: MadeUpModule = { path: 'public.example/x', version: 'v1.0.0', contentBytes: 1000 };

type Heard = { readonly path: string; readonly authorization: string | undefined };

/** An https server that notes each request. */
async function https(
  t: TestContext,
  certificate: { certPath: string; keyPath: string },
  answer: (heard: Heard) => { status: number; location?: string; body?: Uint8Array | string },
) {
  const heard: Heard[] = [];
  const secrets = { cert: readFileSync(certificate.certPath), key: readFileSync(certificate.keyPath) };
  const server = createServer(secrets, ({ url = '', headers }, response) => {
    const one = { path: decodeURIComponent(url.slice(1)), authorization: headers.authorization };
    heard.push(one);
    const { status, location, body } = answer(one);
    response.writeHead(status, location === undefined ? {} : { location });
    response.end(body);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { host: `127.0.0.1:${(server.address() as AddressInfo).port}`, heard };
}

const basic = (login: string) => `Basic ${Buffer.from(login).toString('base64')}`;

test('a route leads to a proxy that wants the login of the netrc file, and to no other', async (t) => {
  const certificate = makeCertificate(t);
  const files = madeUpFiles(INSIDE);
  let password = 'first-word';
  const storage = await https(t, certificate, () => ({ status: 200, body: files.zip }));
  const company = await https(t, certificate, ({ path, authorization }) => {
    if (authorization !== basic(`me:${password}`)) return { status: 401, body: 'who are you?\n' };
    if (path.endsWith('.zip')) return { status: 302, location: `https://${storage.host}/${path}?signed=1` };
    if (path.endsWith('/list')) return { status: 200, body: 'v1.0.0\n' };
    const kind = /\.(info|mod)$/.exec(path)?.[1] as 'info' | 'mod' | undefined;
    return kind === undefined || !path.startsWith(INSIDE.path)
      ? { status: 404 }
      : { status: 200, body: files[kind] };
  });
  const open = await LocalUpstream.start({ madeUp: [OUTSIDE] });
  t.after(() => open.close());
  const NETRC = join(tempDir(t), 'netrc');
  const write = (word: string) =>
    writeFileSync(NETRC, `machine ${company.host} login me password ${word}\n`, { mode: 0o600 });
  write('wrong-word');
  const astera = await Astera.start({
    upstream: open.url,
    env: { NETRC, SSL_CERT_FILE: certificate.certPath },
    flags: [
      ...['--verify', 'off', '--route', 'corp.example/gone=off'],
      ...['--route', `corp.example=https://${company.host}`],
    ],
  });
  t.after(() => astera.dispose());

  const refused = await astera.get('corp.example/tools/@v/list');
  assert.equal(refused.status, 502);
  assert.match(
    await refused.text(),
    /^cannot fetch "corp\.example\/tools\/@v\/list" from 127[^\n]*401[^\n]*\n$/,
  );
  write(password);
  const asked = company.heard.length;
  process.kill(astera.pid, 'SIGHUP');
  while (!astera.log.includes('SIGHUP')) await astera.get('healthz');

  const go = await GoClient.create(astera.url);
  t.after(() => go.dispose());
  const got = await go.run('get', `${INSIDE.path}@latest`, `${OUTSIDE.path}@latest`);
  assert.equal(got.code, 0, got.stderr);
  assert.ok(
    company.heard.slice(asked).every(({ authorization }) => authorization === basic(`me:${password}`)),
  );
  assert.deepEqual(
    storage.heard,
    [{ path: `${INSIDE.path}/@v/v1.0.0.zip?signed=1`, authorization: undefined }],
    'the host behind a redirect gets no login',
  );
  assert.deepEqual(
    Object.keys(open.counters.requests).filter((path) => path.startsWith('corp.example')),
    [],
    'the other upstream hears nothing of it',
  );

  const page = await (await astera.get('')).text();
  const [, named = ''] = /^upstreams +(.*);/m.exec(page) ?? [];
  assert.equal(named, `${new URL(open.url).host} (up), ${company.host} (up)`, 'the page names both');

  const gone = await astera.get('corp.example/gone/@v/list');
  assert.equal(gone.status, 404);
  assert.match(await gone.text(), /says "off"/);

  password = 'second-word';
  await astera.stop();
  for (const word of ['first-word', 'wrong-word', basic('me:first-word')]) {
    assert.ok(!astera.log.includes(word), 'no login is logged');
  }
});

test('a malformed route is one line of text, and stops the start', async () => {
  const rows = [
    {
      route: 'corp.example',
      says: /^astera: bad value for --route: cannot read route: "corp\.example": expected [^\n]+\n$/,
    },
    {
      route: 'corp.example=gopher://x',
      says: /^astera: bad value for --route: cannot read upstream list: [^\n]+\n$/,
    },
  ];
  for (const { route, says } of rows) {
    const { code, stderr } = await runAstera(['serve', '--upstream', 'off', '--route', route]);
    assert.deepEqual([code, says.test(stderr)], [2, true], stderr);
  }
});

test('a route to this very server stops the start', async (t) => {
  const port = await freePort();
  const route = `corp.example=http://127.0.0.1:${port}`;
  const place = ['--db', join(tempDir(t), 'a.db'), '--addr', `127.0.0.1:${port}`];
  const { code, stderr } = await runAstera(['serve', ...place, '--upstream', 'off', '--route', route]);
  assert.equal(code, 2, stderr);
  assert.match(
    stderr,
    /^astera: cannot use 127\.0\.0\.1:\d+ as upstream of --route "corp\.example": it is this very server$/m,
  );
});
