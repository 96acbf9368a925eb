// Goal: a server that is slow, wrong or gone is a miss, and one that works shares what was put.
// Method: a real HTTP server on loopback whose answers each test makes up.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { LocalCache } from '../../src/plugin/local-cache.ts';
import { RemoteCache } from '../../src/plugin/remote-cache.ts';
import { OUTPUT_ID_HEADER, TIME_HEADER } from '../../src/plugin/remote-protocol.ts';
import { Uploads } from '../../src/plugin/uploads.ts';
import { tempDir } from '../support/temp-dir.ts';

const ACTION = sha256('action');

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

async function open(t: TestContext, answer: RequestListener) {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url?.slice(0, 14)}`);
    answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address() as AddressInfo;
  const warnings: string[] = [];
  const warn = (line: string) => warnings.push(line);
  const url = new URL(`http://127.0.0.1:${port}`);
  const remote = new RemoteCache({
    url,
    token: 'secret',
    timeoutMs: 200,
    shareCgo: false,
    now: () => 1_000,
    warn,
  });
  t.after(() => remote.close());
  const local = new LocalCache({ directory: join(tempDir(t), 'cache'), now: Date.now, warn });
  return { remote, local, asked, warnings };
}

function headers(body: string, size = body.length) {
  return { [OUTPUT_ID_HEADER]: sha256(body), [TIME_HEADER]: '1700000000000000000', 'content-length': size };
}

test('a get brings the output in one round trip', async (t) => {
  const { remote, local, asked } = await open(t, (_, response) =>
    response.writeHead(200, headers('body')).end('body'),
  );
  const entry = await remote.get(ACTION, local);
  assert.equal(entry?.outputId, sha256('body'));
  assert.deepEqual(local.get(ACTION), entry);
  assert.equal(asked.length, 1);
});

const failures: { why: string; answer: RequestListener }[] = [
  { why: 'another body', answer: (_, response) => response.writeHead(200, headers('body')).end('lies') },
  { why: 'no ID', answer: (_, response) => response.end('<html>') },
  { why: 'an error', answer: (_, response) => response.writeHead(500).end() },
  { why: 'no answer', answer: () => {} },
  { why: 'half a body', answer: (_, response) => void response.writeHead(200, headers('body')).write('bo') },
  {
    why: 'a body cut off',
    answer: (_, response) => response.writeHead(200, headers('body')).write('bo', () => response.destroy()),
  },
];
for (const { why, answer } of failures) {
  test(`a miss, one line, and left alone: ${why}`, async (t) => {
    const { remote, local, asked, warnings } = await open(t, answer);
    assert.equal(await remote.get(ACTION, local), undefined);
    assert.equal(await remote.get(ACTION, local), undefined);
    assert.equal(local.get(ACTION), undefined);
    assert.equal(asked.length, 1);
    assert.equal(warnings.length, 1);
  });
}

test("another machine's module index is a miss", async (t) => {
  const body = 'go index v2\n';
  const { remote, local, warnings } = await open(t, (_, response) =>
    response.writeHead(200, headers(body)).write('go ', () => response.end('index v2\n')),
  );
  assert.equal(await remote.get(ACTION, local), undefined);
  assert.deepEqual(warnings, []);
});

test('an upload asks first, sends output and action with the token; a refused one is left to the next run', async (t) => {
  let status = 403;
  const { remote, local, asked } = await open(t, (request, response) => {
    assert.equal(request.headers.authorization, 'Bearer secret');
    request.resume().on('end', () => response.writeHead(request.method === 'HEAD' ? 404 : status).end());
  });
  const put = local.beginPut({ outputId: sha256('body'), size: 4 });
  put.write(Buffer.from('body'));
  put.finish({ actionId: ACTION });
  const refused = new Uploads(local, remote, 2);
  refused.add(ACTION);
  await refused.close(5_000);
  assert.equal(refused.done, 0);
  status = 201;
  asked.length = 0;
  const { remote: again } = await open(t, (request, response) => {
    asked.push(`${request.method} ${request.url?.slice(0, 14)}`);
    request.resume().on('end', () => response.writeHead(request.method === 'HEAD' ? 404 : status).end());
  });
  const next = new Uploads(local, again, 2);
  next.takeSpool();
  await next.close(5_000);
  assert.equal(next.done, 1);
  assert.deepEqual(asked, ['HEAD /cache/output/', 'PUT /cache/output/', 'PUT /cache/action/']);
});
