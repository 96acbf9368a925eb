// Goal: behind a reverse proxy with a file of deploy/, the `go` command works, zips stream, errors come through.
// Method: real nginx and HAProxy on loopback in front of a real server, and a local upstream that holds bodies back.
// A machine without one of them skips its tests.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Astera } from '../support/astera.ts';
import { GoClient } from '../support/go.ts';
import { LocalUpstream } from '../support/local-upstream.ts';
import { madeUpFiles } from '../support/module-zip.ts';
import { hasProxy, ReverseProxy } from '../support/reverse-proxy.ts';

/** The name in the files. */
const NAME = 'goproxy.example.com';

const MIB = 1024 * 1024;
const kinds = ['nginx', 'haproxy'] as const;

const small = { path: 'made-up.example/Capital/m', version: 'v1.2.3', contentBytes: 3_000 };
const large = kinds.map((kind) => ({
  ...{ path: `made-up.example/${kind}`, version: 'v1.0.0', contentBytes: 40 * MIB },
}));

let upstream: LocalUpstream;
let astera: Astera;

before(async () => {
  upstream = await LocalUpstream.start({ madeUp: [small, ...large] });
  astera = await Astera.start({ upstream: upstream.url, flags: ['--verify', 'off', '--hosts', NAME] });
});

after(async () => {
  await astera.dispose();
  await upstream.close();
});

/** A request whose head is there; the body is not read. */
async function open(url: string, headers: Readonly<Record<string, string>> = {}): Promise<IncomingMessage> {
  const [response] = (await once(get(url, { agent: false, headers }), 'response')) as [IncomingMessage];
  return response;
}

async function readAll(response: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of response) parts.push(part as Buffer);
  return Buffer.concat(parts);
}

for (const [at, kind] of kinds.entries()) {
  describe(kind, { skip: !hasProxy(kind) }, () => {
    let proxy: ReverseProxy;
    before(async () => {
      proxy = await ReverseProxy.start(kind, astera.url);
    });
    after(() => proxy.stop());

    test('the go command lists and downloads through it', async () => {
      const go = await GoClient.create(proxy.url);
      try {
        const listed = await go.run('list', '-m', '-versions', small.path);
        assert.deepEqual(
          [listed.code, listed.stdout],
          [0, `${small.path} ${small.version}\n`],
          listed.stderr,
        );
        const { code, stderr } = await go.run('mod', 'download', `${small.path}@${small.version}`);
        assert.equal(code, 0, stderr);
        const missing = await go.run('mod', 'download', 'made-up.example/none@v1.0.0');
        assert.equal(missing.code, 1);
        assert.match(missing.stderr, /404 Not Found/);
      } finally {
        await go.dispose();
      }
    });

    test('a large zip begins before the upstream has sent it all, and comes whole', async () => {
      const module = large[at] ?? small;
      const path = `${module.path}/@v/${module.version}.zip`;
      const release = upstream.hold(path, 10 * MIB);
      const response = await open(`${proxy.url}/${path}`);
      await once(response, 'readable');
      release();
      assert.ok((await readAll(response)).equals(madeUpFiles(module).zip));
    });

    test('the name that clients use comes through, and only that one', async () => {
      const path = `${proxy.url}/${small.path.replace('C', '%21c')}/@v/list`;
      for (const { host, code } of [
        { host: NAME, code: 200 },
        { host: 'evil.example', code: 421 },
      ]) {
        const response = await open(path, { host });
        assert.equal(response.statusCode, code, host);
        response.resume();
      }
    });

    test('figures and profiles are not for its clients, and errors come as they are', async () => {
      for (const path of ['', 'status/now.json', 'metrics', 'debug/pprof/heap']) {
        assert.equal((await fetch(`${proxy.url}/${path}`)).status, 403, path);
      }
      const health = await fetch(`${proxy.url}/healthz`);
      assert.deepEqual([health.status, await health.text()], [200, 'ok\n']);
      const malformed = await fetch(`${proxy.url}/github.com/Azure/x/@v/list`);
      assert.deepEqual([malformed.status, malformed.headers.get('cache-control')], [400, 'no-store']);
    });
  });
}

describe('nginx, beside that', { skip: !hasProxy('nginx') }, () => {
  const last = large[0] ?? small;
  const zip = `${last.path}/@v/${last.version}.zip`;

  test('a slow client of a large zip costs no room on its disk', async () => {
    for (const { edits, files } of [
      { edits: [], files: 0 },
      { edits: [{ from: 'proxy_buffering off;', to: 'proxy_buffering on;' }], files: 1 },
    ]) {
      const proxy = await ReverseProxy.start('nginx', astera.url, edits);
      try {
        const response = await open(`${proxy.url}/${zip}`);
        // Long enough that with the other setting the file is there.
        for (let look = 0; look < 50 && proxy.temporaryFiles.length === 0; look++) await delay(20);
        assert.equal(proxy.temporaryFiles.length, files);
        response.destroy();
      } finally {
        await proxy.stop();
      }
    }
  });

  test('without proxy_http_version it speaks HTTP/1.0, which is 505', async () => {
    const edits = [{ from: 'proxy_http_version 1.1;', to: 'proxy_http_version 1.0;' }];
    const proxy = await ReverseProxy.start('nginx', astera.url, edits);
    try {
      assert.equal((await fetch(`${proxy.url}/healthz`)).status, 505);
    } finally {
      await proxy.stop();
    }
  });
});
