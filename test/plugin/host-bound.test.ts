// Goal: what cgo made on one host is given to hosts with the same C headers, to no other, and to no client that asks for
// less or more; nothing but cgo ever looks at headers.
// Method: the program itself, as `go` starts it, against a small server in memory; two directories of headers at one path.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { OUTPUT_ID_HEADER, TIME_HEADER } from '../../src/core/build-cache-wire.ts';
import { CacheClient } from '../support/cache-client.ts';
import { CHECKOUT } from '../support/corpus.ts';
import { tempDir } from '../support/temp-dir.ts';

const MAIN = join(CHECKOUT, 'src/plugin/cacheprog-main.ts');
const C_MEMBER = `_x001.o/        0           0     0     644     4         \`\n\x7fELF`;

/** An archive that holds what a C compiler made. */
function archive(text: string): Buffer {
  const go = `go object ${text}`;
  const head = `_go_.o/         0           0     0     644     ${String(go.length).padEnd(10)}\`\n`;
  return Buffer.from(`!<arch>\n${head}${go}${go.length % 2 === 1 ? '\n' : ''}${C_MEMBER}`, 'latin1');
}

/** Takes one put at a time, as an older server does. The first put of an action wins. */
async function serving(t: TestContext) {
  const outputs = new Map<string, Buffer>();
  const actions = new Map<string, { id: string; time: string }>();
  const server = createServer(async (request, response) => {
    const pieces: Buffer[] = [];
    for await (const piece of request) pieces.push(piece);
    const [, , noun = '', id = ''] = (request.url ?? '').split('/');
    const named = request.headers[OUTPUT_ID_HEADER];
    if (noun === 'output') {
      if (request.method === 'PUT') outputs.set(id, Buffer.concat(pieces));
      response.writeHead(request.method === 'PUT' ? 201 : outputs.has(id) ? 200 : 404).end();
    } else if (noun === 'action' && request.method === 'PUT') {
      const before = actions.get(id);
      if (before === undefined)
        actions.set(id, { id: String(named), time: String(request.headers[TIME_HEADER]) });
      response.writeHead(before === undefined || before.id === named ? 201 : 409).end();
    } else {
      const found = noun === 'action' ? actions.get(id) : undefined;
      const body = outputs.get(found?.id ?? '');
      if (found === undefined || body === undefined) response.writeHead(404).end();
      else {
        const headers = {
          [OUTPUT_ID_HEADER]: found.id,
          [TIME_HEADER]: found.time,
          'content-length': body.length,
        };
        response.writeHead(200, headers).end(body);
      }
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, outputs };
}

test('hosts with the same C headers share what cgo makes', async (t) => {
  const { url, outputs } = await serving(t);
  const include = tempDir(t);
  const header = join(include, 'value.h');
  const host = async (value: number, share: string) => {
    // Of one size and time, as a copied tree's are.
    writeFileSync(header, `#define VALUE ${value}\n`);
    utimesSync(header, 1e9, 1e9);
    const directory = join(tempDir(t), 'cache');
    const flags = [`--cache-dir=${directory}`, `--remote=${url}`, `--share-cgo=${share}`];
    const patience = ['--close-wait=30s', '--remote-timeout=20s'];
    const client = await CacheClient.start({
      command: [process.execPath, '--disable-warning=ExperimentalWarning', MAIN, ...flags, ...patience],
      env: { CC: 'gcc -nostdinc', CXX: 'none', PKG_CONFIG: 'none', CGO_CFLAGS: `-I${include}` },
    });
    const get = async (action: string) => {
      const { DiskPath } = await client.get(action);
      return DiskPath === undefined ? undefined : readFileSync(DiskPath);
    };
    return { client, get, hasLooked: () => existsSync(join(directory, 'host')) };
  };
  const first = await host(1, 'same-host');
  assert.equal(await first.get('cgo'), undefined);
  await first.client.put('pure', Buffer.from('pure'));
  assert.equal(first.hasLooked(), false, 'no build without cgo looks at headers');
  await first.client.put('cgo', archive('of 1'));
  await first.client.close();
  assert.equal(first.hasLooked(), true);
  const other = await host(2, 'same-host');
  assert.deepEqual(await other.get('pure'), Buffer.from('pure'));
  assert.equal(other.hasLooked(), false);
  assert.equal(await other.get('cgo'), undefined, 'another header');
  await other.client.put('cgo', archive('of 2'));
  await other.client.close();
  for (const value of [1, 2]) {
    const equal = await host(value, 'same-host');
    assert.deepEqual(await equal.get('cgo'), archive(`of ${value}`));
    await equal.client.close();
  }
  for (const share of ['off', 'on']) {
    const client = await host(1, share);
    assert.equal(await client.get('cgo'), undefined, share);
    await client.client.put('cgo', archive('of another'));
    await client.client.close();
  }
  const again = await host(1, 'same-host');
  assert.deepEqual(await again.get('cgo'), archive('of 1'), 'nobody has put another in its place');
  await again.client.close();
  assert.deepEqual(again.client.lines, []);
  for (const [id, body] of outputs) assert.equal(createHash('sha256').update(body).digest('hex'), id);
});
