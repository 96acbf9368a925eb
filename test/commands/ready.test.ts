// Goal: `ready` tells a server that is ready from one that is not, is not there, or comes later, over http, https and
// a socket.
// Method: the real command beside small servers of the test's that answer /readyz.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { runAstera } from '../support/astera.ts';
import { makeCertificate } from '../support/certificate.ts';
import { freePort } from '../support/free-port.ts';
import { tempDir } from '../support/temp-dir.ts';

/** Answers /readyz with each of `codes` in turn, the last one for ever. */
function answering(...codes: number[]): RequestListener {
  let asked = 0;
  return (request, response) => {
    const code = request.url === '/readyz' ? (codes[Math.min(asked++, codes.length - 1)] ?? 500) : 404;
    response.writeHead(code).end(code === 200 ? 'ready\n' : 'the store is gone\n');
  };
}

async function listen(t: TestContext, server: Server, at: number | string = 0): Promise<number> {
  const host = typeof at === 'number' ? [at, '127.0.0.1'] : [at];
  await new Promise<void>((resolve) => server.listen(...(host as [number]), resolve));
  t.after(() => server.close());
  const address = server.address() as AddressInfo | string;
  return typeof address === 'string' ? 0 : address.port;
}

test('a ready server is named, and one that is not says why', async (t) => {
  const port = await listen(t, createServer(answering(200)));
  assert.deepEqual(await runAstera(['ready', '--addr', `:${port}`]), {
    code: 0,
    stdout: `ready at http://127.0.0.1:${port}\n`,
    stderr: '',
  });
  const other = await listen(t, createServer(answering(503)));
  assert.deepEqual(await runAstera(['ready', '--addr', `127.0.0.1:${other}`]), {
    code: 1,
    stdout: '',
    stderr: `astera: not ready at 127.0.0.1:${other}: 503 the store is gone\n`,
  });
});

test('where it is told to wait, it asks until the server is ready', async (t) => {
  const port = await listen(t, createServer(answering(503, 503, 200)));
  const { code } = await runAstera(['ready', '--wait', '1m'], { ASTERA_ADDR: `127.0.0.1:${port}` });
  assert.equal(code, 0);
});

test('a server with TLS is asked by https, one on a socket there', async (t) => {
  const { certPath, keyPath } = makeCertificate(t, 'pi.example');
  const secrets = { cert: readFileSync(certPath), key: readFileSync(keyPath) };
  const port = await listen(t, createSecureServer(secrets, answering(200)));
  const secure = await runAstera(['ready', '--addr', `127.0.0.1:${port}`]);
  assert.equal(secure.stdout, `ready at https://127.0.0.1:${port}\n`, secure.stderr);
  const path = join(tempDir(t), 's');
  await listen(t, createServer(answering(200)), path);
  assert.equal((await runAstera(['ready', '--addr', `unix:${path}`])).stdout, `ready at unix:${path}\n`);
});

test('nobody there, port 0, no duration: one line each', async () => {
  const port = await freePort();
  const { code, stderr } = await runAstera(['ready', '--addr', `127.0.0.1:${port}`]);
  assert.equal(code, 1);
  assert.match(stderr, /^astera: not ready at 127\.0\.0\.1:\d+: connect ECONNREFUSED [^\n]*\n$/);
  assert.equal((await runAstera(['ready', '--addr', ':0'])).code, 2);
  assert.equal((await runAstera(['ready', '--wait', 'soon'])).code, 2);
});
