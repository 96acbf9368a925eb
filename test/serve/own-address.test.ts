// Goal: an Astera that would be its own upstream is told from one that only looks like it.
// Method: lists against an address; names are looked up only where the port is ours.

import assert from 'node:assert/strict';
import { syncBuiltinESMExports } from 'node:module';
import os from 'node:os';
import { test } from 'node:test';
import { parseAddress } from '../../src/core/address.ts';
import { ownMember } from '../../src/serve/own-address.ts';

const PORT = 18080;

const lists: { list: string; own?: string; addr?: string; why: string }[] = [
  { list: `http://127.0.0.1:${PORT}`, own: `127.0.0.1:${PORT}`, why: 'loopback' },
  { list: `http://127.9.9.9:${PORT}`, own: `127.9.9.9:${PORT}`, why: 'all of loopback' },
  { list: `http://localhost:${PORT}/mod`, own: `localhost:${PORT}`, why: 'by name, below a path' },
  { list: `http://0.0.0.0:${PORT}`, own: `0.0.0.0:${PORT}`, why: 'any address' },
  { list: `http://[::]:${PORT}`, own: `[::]:${PORT}`, why: 'any address, IPv6' },
  {
    list: `http://a.invalid|http://me:s3cret@127.0.0.1:${PORT},direct`,
    own: `127.0.0.1:${PORT}`,
    why: 'in a list',
  },
  { list: `http://127.0.0.1:${PORT + 1}`, why: 'another port' },
  { list: `http://192.0.2.1:${PORT}`, why: 'another machine' },
  { list: `http://no-such-host.invalid:${PORT}`, why: 'a name nobody knows' },
  { list: 'file:///srv/modules,off', why: 'a directory' },
  { list: `http://127.0.0.1:${PORT}`, addr: 'unix:/run/a.sock', why: 'a Unix socket is nobody’s upstream' },
];

for (const { list, own, addr = `:${PORT}`, why } of lists) {
  test(`${list} ${own === undefined ? 'is not' : 'is'} ourselves: ${why}`, async () => {
    assert.equal(await ownMember(list, parseAddress(addr), PORT), own);
  });
}

test('where the interfaces cannot be listed, an address is ours if a socket can be bound to it', async (t) => {
  const [ours = '127.0.0.1'] = Object.values(os.networkInterfaces()).flatMap(
    (list) => list?.flatMap(({ address, family }) => (family === 'IPv4' ? address : [])) ?? [],
  );
  const address = parseAddress(`:${PORT}`);
  t.mock.method(os, 'networkInterfaces', () => {
    throw new Error('EAFNOSUPPORT');
  });
  syncBuiltinESMExports();
  t.after(() => {
    t.mock.restoreAll();
    syncBuiltinESMExports();
  });
  assert.equal(await ownMember(`http://${ours}:${PORT}`, address, PORT), `${ours}:${PORT}`);
  assert.equal(await ownMember(`http://192.0.2.1:${PORT}`, address, PORT), undefined);
});
